"""Runs a command in a pod as a program of one's own would, and says what it got."""

import argparse
import sys

from kubernetes import client, config
from kubernetes.client import ApiException
from kubernetes.stream import stream
from websocket import WebSocketBadStatusException

PATIENCE = 60


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--context", help="the current one, unless given")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--container")
    parser.add_argument("--stdin", action="store_true")
    parser.add_argument("--tty", action="store_true")
    parser.add_argument("pod")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def run(asked: argparse.Namespace) -> int:
    """Runs it, and answers with its exit status."""
    config.load_kube_config(config_file=asked.kubeconfig, context=asked.context)
    options = {"container": asked.container} if asked.container else {}
    session = stream(
        client.CoreV1Api().connect_get_namespaced_pod_exec,
        asked.pod,
        asked.namespace,
        command=asked.command,
        stdin=asked.stdin,
        stdout=True,
        stderr=True,
        tty=asked.tty,
        _preload_content=False,
        **options,
    )
    session.run_forever(timeout=PATIENCE)
    if session.is_open():
        session.close()
        print(f"still running after {PATIENCE} s")
        return 1
    print(f"stdout: {session.read_stdout()}")
    print(f"stderr: {session.read_stderr()}")
    print(f"exit status: {session.returncode}")
    return session.returncode


def main() -> int:
    try:
        return run(arguments())
    except ApiException as error:
        # The client raises with status 0, and no body; what the API server said is in the reason, and in the cause.
        cause = error.__context__
        if isinstance(cause, WebSocketBadStatusException):
            print(f"HTTP status: {cause.status_code}")
            print(f"body: {(cause.resp_body or b'').decode()}")
        print(f"exception: {type(error).__name__}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
