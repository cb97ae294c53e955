"""A systemd unit for the agent: an account of its own, nothing it does not need."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rawtrace.errors import UsageError

_HOMES = ("/home", "/root", "/run/user")
_UNIT = """\
# Made by `rawtrace agent unit`. Install it as /etc/systemd/system/rawtrace-agent.service;
# docs/how-to/install-the-agent.md says how, and which folder permissions go with it.
[Unit]
Description=rawtrace agent: seals what the instrument writes
Documentation=man:systemd.exec(5)
RequiresMountsFor={mounts}
After=local-fs.target remote-fs.target

[Service]
Type=exec
User={user}
Group={user}
ExecStart={program} agent run --watch {watch} --instrument {instrument} --state /var/lib/rawtrace/agent.sqlite{settings}
Restart=always
RestartSec=5
# A seal under way is finished first; a large file takes its time.
TimeoutStopSec=10min
StateDirectory=rawtrace
StateDirectoryMode=0750
# Seals must be readable by everybody who may read the data.
UMask=0022
Environment=RAWTRACE_CONFIG_DIR=/var/lib/rawtrace HOME=/var/lib/rawtrace

# It writes seals beside the data and its own state, nothing else.
ProtectSystem=strict
ProtectHome={home}
ReadWritePaths={watch}
{identity}={instrument}
PrivateTmp=yes
{network}

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute is left out: the C2PA library is called through libffi, which needs such memory.

MemoryMax=1G
TasksMax=64
Nice=10
IOSchedulingClass=idle

[Install]
WantedBy=multi-user.target
"""


_NO_NETWORK = """\
# Sealing needs no network. A token that is reached through pcscd works: that is a local socket.
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any"""
_NETWORK = """\
# The agent asks its trust stores: for a new certificate in time, and to take its seals in. Nobody else.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"""


def unit(
    *,
    watch: Path,
    instrument: Path,
    program: Path,
    user: str = "rawtrace",
    online: bool = False,
    settings: Path | None = None,
    deliver: bool = False,
) -> str:
    """Return the text of a unit file.

    Parameters
    ----------
    watch, instrument, program : Path
        The watched folder, the instrument's identity, and the ``rawtrace`` program; made absolute.
    user : str
        Account that runs the agent.
    online : bool
        Whether the agent asks a trust store to renew its identity, as it does for one that came from there.
    settings : Path or None
        The agent's settings file, which says where seals are delivered to.
    deliver : bool
        Whether seals are delivered to the store that certified the instrument.

    Raises
    ------
    UsageError
        A path or an account that cannot be written into a unit file.
    """
    if not user or not user.replace("-", "").replace("_", "").isalnum() or not user.isascii():
        msg = f"{user!r} is not the name of an account"
        raise UsageError(msg)
    paths = {"watch": watch.absolute(), "instrument": instrument.absolute(), "program": program.absolute()}
    at_home = any(PurePosixPath(str(path)).is_relative_to(home) for path in paths.values() for home in _HOMES)
    quoted = {name: _quote(str(path)) for name, path in paths.items()}
    home = "read-only" if at_home else "yes"
    return _UNIT.format(
        **quoted,
        mounts=f"{quoted['watch']} {quoted['instrument']}",
        user=user,
        home=home,
        settings=(f" --settings {_quote(str(settings.absolute()))}" if settings is not None else "")
        + (" --deliver" if deliver else ""),
        identity="ReadWritePaths" if online else "ReadOnlyPaths",
        network=_NETWORK if online or settings is not None else _NO_NETWORK,
    )


def _quote(text: str) -> str:
    """Quote a path as systemd.syntax(7) and its specifiers ask."""
    if any(not character.isprintable() for character in text):
        msg = f"the path {text!r} has characters that a unit file cannot hold"
        raise UsageError(msg, hint="use a folder whose name is plain text")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped == text and " " not in text and "'" not in text else f'"{escaped}"'
