#!/bin/sh
# First process of the node's own mount and PID namespaces. Everything of the cluster is started beside it and ends with it;
# it ends when standard input does.
#
#   RUN directory of the cluster, RUNTIME directory of containerd, runc, pause, KUBERNETES directory of the kubelet
set -eu
# Outside's /proc still: the number by which the outside knows this process.
read -r pid _ </proc/self/stat

mount --make-rshared /
mount -t proc proc /proc

# The cluster's own /run, /var/lib and /var/log; directories that are needed and would be hidden come back.
exec 4<"$RUN" 5<"$RUNTIME" 6<"$KUBERNETES"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
bring_back() {
  case $1 in
    /run/* | /var/lib/*) mkdir -p "$1" && mount --no-canonicalize --bind "/proc/self/fd/$2" "$1" ;;
  esac
}
bring_back "$RUN" 4
bring_back "$RUNTIME" 5
bring_back "$KUBERNETES" 6
exec 4<&- 5<&- 6<&-
mount --bind "$RUN/logs" /var/log

# The kubelet and the bridge plugin would set these for the whole machine; let them see what they want to see.
count=0
mkdir "$RUN/sysctls"
hide() {
  count=$((count + 1))
  echo "$2" >"$RUN/sysctls/$count"
  mount --bind "$RUN/sysctls/$count" "/proc/sys/$1"
}
hide vm/overcommit_memory 1
hide vm/panic_on_oom 0
hide kernel/panic 10
hide kernel/panic_on_oops 1
hide kernel/keys/root_maxkeys 1000000
hide kernel/keys/root_maxbytes 25000000
hide net/ipv4/ip_forward 1

echo "$pid" >"$RUN/init.pid.new"
mv "$RUN/init.pid.new" "$RUN/init.pid"
# Reaps orphans, which a shell waiting for input would not.
exec "$RUNTIME/pause" -until-eof
