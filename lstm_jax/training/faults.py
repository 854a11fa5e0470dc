"""What the host does about numbers that went wrong; `guard` is what the step does."""

import shlex
from typing import TYPE_CHECKING, Any

import jax

from lstm_jax.errors import UserError
from lstm_jax.training.diagnosis import diagnose, save_step
from lstm_jax.training.guard import Guard
from lstm_jax.training.processes import from_first, gather

if TYPE_CHECKING:
    from lstm_jax.training.session import Session

_CHECK_EVERY = 100  # steps: the longest that a state stands still unnoticed
_MOST_SKIPPED = 100  # steps in a row
_MOST_REWINDS = 10


class NonFinite(UserError):
    """The numbers went wrong, and the run stopped.

    Attributes:
      step: the step.
    """

    def __init__(self, step: int, text: str):
        super().__init__(text)
        self.step = step


class Watch:
    """Looks at the guard now and then, and knows where the data stood before every step.

    Args:
      session: what it watches over, and takes from step to step.
    """

    def __init__(self, session: "Session"):
        self._session = session
        self._positions: dict[int, dict[str, Any]] = {}
        self._skipped = int(session.state.guard.skipped)

    def advance(self) -> None:
        """One step of training."""
        session = self._session
        self._positions[session.step] = session.data.get_state()
        session.advance()

    def is_due(self) -> bool:
        """Whether the last look is long ago."""
        return len(self._positions) >= _CHECK_EVERY

    def is_well(self) -> bool:
        """Looks; False if the run shall go back, for which the data stand behind the bad batch.

        Raises:
          NonFinite: the numbers went wrong, and the run shall stop.
        """
        session = self._session
        guard: Guard = jax.device_get(session.state.guard)
        if guard.bad_step < 0:
            self._positions.clear()
            self._tell_skipped(guard)
            return True
        self._stand_before(int(guard.bad_step))
        text = self._record()
        if session.run.experiment.train.on_nonfinite == "rewind":
            if guard.rewinds < _MOST_REWINDS:
                session.warn(text)
                return False
            text = f"{text}; went back {guard.rewinds} times already"
        folder = shlex.quote(str(session.run.folder))
        raise NonFinite(
            session.step,
            f"step {session.step}: {text}; to see where: lstm-jax debug --workdir={folder}",
        )

    def _stand_before(self, step: int) -> None:
        session = self._session
        session.step = step
        session.data.set_state(self._positions[step])

    def _tell_skipped(self, guard: Guard) -> None:
        session = self._session
        if guard.skipped > self._skipped:
            session.warn(
                f"skipped {guard.skipped - self._skipped} step(s) whose loss or gradient was not "
                f"finite, {guard.skipped} in all"
            )
            self._skipped = int(guard.skipped)
        if guard.skipped_in_a_row >= _MOST_SKIPPED:
            raise NonFinite(
                session.step,
                f"step {session.step}: {guard.skipped_in_a_row} steps in a row were skipped: "
                "nothing is learnt any more",
            )

    def _record(self) -> str:
        """Keeps what reproduces the bad step, and says what was wrong."""
        session, setup = self._session, self._session.setup
        position = session.data.get_state()
        batch = setup.place.put_rows(next(session.data), setup.dataset.batch_size)
        found = diagnose(
            setup.learner,
            session.state,
            batch,
            parts=session.run.experiment.train.accumulation_steps,
            batch_size=setup.dataset.batch_size,
        )
        where = {"data": position, "fingerprint": setup.dataset.fingerprint}
        state, batch = gather((session.state, batch))
        folder = from_first(lambda: str(save_step(session.run.folder, state, batch, found, where)))
        batch_number = position.get("next_index", position)  # as Grain's sources count
        return f"{found.in_words()}; batch {batch_number} of the data; kept in {folder}"
