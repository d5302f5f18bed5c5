#!/bin/sh
# Outlives the process that owns a cluster and leaves nothing of the cluster behind.
#
#   keeper.sh hold  RUN CGROUP ENTRY [INIT]   waits until standard input ends (its owner has ended, however), then cleans up
#   keeper.sh sweep RUN CGROUP ENTRY          cleans up what a killed owner and a killed keeper left
#
# RUN     directory of the cluster; removed (but for logs/ and keep-logs, if there is such a file)
# CGROUP  name of the cluster's cgroup in every hierarchy, or - for none
# ENTRY   the cluster's entry in the registry, locked through standard output as long as this process lives
# INIT    script to run as the first process of the node's own mount and PID namespaces
mode=$1 run=$2 cgroup=$3 entry=$4 init=$5
trap '' HUP INT TERM

hold() {
  if [ -n "$init" ]; then
    # A shell gives background commands /dev/null as input; init wants ours, to see the end of it for itself.
    exec 3<&0
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --propagation private \
      sh "$init" <&3 >"$run/logs/node.log" 2>&1 3<&- &
    tree=$!
    exec 3<&-
  fi
  while read -r _; do :; done
  [ -z "$init" ] || end_tree
}

# Init ends by itself when standard input does, and the kernel ends all its namespace with it. unshare waits for that.
end_tree() {
  (
    exec >/dev/null 2>&1
    trap 'kill "$nap"; exit' USR1
    sleep 5 &
    nap=$!
    wait "$nap"
    kill -KILL "$tree"
  ) &
  impatient=$!
  wait "$tree"
  kill -USR1 "$impatient" 2>/dev/null
  wait "$impatient"
}

# Processes of this cluster carry its directory in their environment.
marked() {
  grep -lzsxF "KRA_CLUSTER_RUN=$run" /proc/[0-9]*/environ | cut -d/ -f3
}

end_marked() {
  tries=0
  while pids=$(marked) && [ -n "$pids" ] && [ $tries -lt 100 ]; do
    # shellcheck disable=SC2086 # one word a process
    kill -KILL $pids 2>/dev/null
    tries=$((tries + 1)) && sleep 0.05
  done
}

cgroups() {
  awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | while read -r root; do
    [ ! -d "$root/$cgroup" ] || echo "$root/$cgroup"
  done
}

remove_cgroups() {
  [ "$cgroup" != - ] || return 0
  tries=0
  while left=$(cgroups) && [ -n "$left" ] && [ $tries -lt 100 ]; do
    for top in $left; do
      [ ! -e "$top/cgroup.kill" ] || echo 1 2>/dev/null >"$top/cgroup.kill"
      find "$top" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    tries=$((tries + 1)) && [ -z "$(cgroups)" ] || sleep 0.05
  done
  [ -z "$left" ] || [ -z "$(cgroups)" ] || echo "kra-cluster: these cgroups could not be removed:" $left >&2
}

remove_bridge() {
  [ -e "$run/keeper.sh" ] && [ -s "$run/bridge" ] || return 0
  ip link delete "$(cat "$run/bridge")" 2>/dev/null || :
}

remove_files() {
  # Only what a cluster has made: an entry may be old, and the directory somebody else's by now.
  [ -e "$run/keeper.sh" ] || return 0
  if [ -e "$run/keep-logs" ]; then
    find "$run" -mindepth 1 -maxdepth 1 ! -name logs ! -name keep-logs -exec rm -rf {} +
  else
    rm -rf "$run"
  fi
}

[ "$mode" = sweep ] || hold
end_marked
remove_cgroups
remove_bridge
remove_files
rm -f "$entry"
