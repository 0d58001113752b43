#!/usr/bin/env python3
"""Runs a command with throwaway stores: arguments that read REDIS or POSTGRES become the URLs of servers that are started
for the command on free loopback ports, in a temporary folder, and stopped after it. Ends with the command's exit code.

    with_servers.py brownout run scenarios/worker-crash.toml --clock real --redis-url REDIS
"""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

STARTS_WITHIN_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port} after {STARTS_WITHIN_S} s")


def redis(folder: str) -> tuple[subprocess.Popen, str]:
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "yes", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    wait_for(port)
    return server, f"redis://127.0.0.1:{port}/"


def postgres(folder: str) -> tuple[subprocess.Popen, str]:
    programs = os.path.dirname(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1])
    # PostgreSQL refuses to run as root.
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    options = {"user": user.pw_uid, "group": user.pw_gid} if user else {}
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, port = os.path.join(folder, "data"), free_port()
    initdb = [f"{programs}/initdb", "--no-sync", "--auth=trust", "--username=brownout", "--pgdata", data]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **options)
    server = subprocess.Popen(
        [f"{programs}/postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **options,
    )
    wait_for(port)
    return server, f"postgres://brownout@127.0.0.1:{port}/postgres"


def main() -> int:
    command, servers, folders = sys.argv[1:], [], []
    try:
        for name, start in (("REDIS", redis), ("POSTGRES", postgres)):
            if name in command:
                folders.append(tempfile.mkdtemp())
                server, url = start(folders[-1])
                servers.append(server)
                command = [url if word == name else word for word in command]
        return subprocess.call(command)
    finally:
        for server in servers:
            server.terminate()
            server.wait(timeout=30)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
