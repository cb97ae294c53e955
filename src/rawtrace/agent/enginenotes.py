"""What acquisition engines said, taken from their notes into the outbox and kept until the asset is sealed."""

from __future__ import annotations

import logging
from pathlib import Path

from rawtrace.agent.outbox import Outbox, Told
from rawtrace.agent.register import Register
from rawtrace.agent.watch import WatchedFolder
from rawtrace.errors import Error
from rawtrace.sealing.finished import NOTES_FOLDER, Fingerprint, FinishedNote, look, read_notes

_LOG = logging.getLogger("rawtrace.agent")


class EngineNotes:
    """Reads the notes of the watched folder, and of one that only the engine can write to.

    Parameters
    ----------
    watched : WatchedFolder
    outbox : Outbox
    register : Register
    vouched : Path or None
        The folder whose notes prove that the engine wrote them.
    """

    def __init__(self, *, watched: WatchedFolder, outbox: Outbox, register: Register, vouched: Path | None) -> None:
        self._watched, self._outbox, self._register, self._vouched = watched, outbox, register, vouched
        self._told = outbox.told()
        self._known: set[Path] = set()

    def take(self) -> None:
        """Take in every note that is new, and take it away."""
        for folder in (self._watched.root / NOTES_FOLDER, self._vouched):
            if folder is None:
                continue
            for source, note in read_notes(folder, known=self._known):
                if isinstance(note, Error):
                    _LOG.warning("%s; it is passed over", note)
                    self._known.add(source)
                else:
                    self._take(note, vouched=folder == self._vouched)

    def about(self, name: str, fingerprint: Fingerprint | None) -> Told | None:
        """Return the engine's word on an asset, if it was said of exactly this state."""
        told = self._told.get(name)
        agreed = told is not None and fingerprint is not None and told.fingerprint.agrees_with(fingerprint)
        return told if agreed else None

    def forget(self, name: str) -> None:
        """Forget what was said of an asset that is sealed."""
        self._told.pop(name, None)

    def _take(self, note: FinishedNote, *, vouched: bool) -> None:
        register, name = self._register, self._watched.name_of(note.path)
        if name is None or look(note.path) is None:
            _LOG.warning("a note names %s, which is no asset in the watched folder; it is passed over", note.path)
        elif not register.looks_sealed(name, note.fingerprint):
            told = Told(
                fingerprint=note.fingerprint,
                engine=note.engine,
                reason=note.reason,
                vouched=vouched,
                # What anybody could have written says when, and never with what.
                device=note.device if vouched else None,
            )
            self._outbox.tell(name, told)
            self._told[name] = told
            register.enlist([(name, self._watched.kind(name))])
            if name in register.tracks:
                register.tracks[name].told = True
            register.look_soon(name)
        try:
            note.source.unlink(missing_ok=True)
        except OSError:
            # Written under another account: reading it twice does no harm, remembering it saves the work.
            self._known.add(note.source)
