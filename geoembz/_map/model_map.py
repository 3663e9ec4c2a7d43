"""What maps of classes and of quantities share: a model that is loaded or trained, and a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoembz._map.held_out import HeldOutScores, score_held_out
from geoembz._map.learners import KINDS, MOST_REFERENCES, Kind
from geoembz._map.model_file import load_model, save_model
from geoembz._map.models import TrainedModel, train
from geoembz._map.options import (
    MapKeywords,
    MapOptions,
    MapPlace,
    TrainingKeywords,
    TrainingOptions,
    check_beside,
)
from geoembz._map.summary import MapSummary
from geoembz._map.training import read_training_set
from geoembz._text import aligned
from geoembz._util import options as groups
from geoembz._util.results import Result
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader


class LearnKeywords(TrainingKeywords, MapKeywords, total=False):
    """The fields of `TrainingOptions` and those that all maps share, as flat keywords."""


@dataclass(frozen=True)
class ModelMap(Result):
    """A map that a model made.

    Parameters
    ----------
    map
        What was written.
    model
        ``logistic``, ``ridge`` or ``knn``.
    held_out
        What held-out pixels say of the model.
    probabilities
        The map of the probabilities, if any.
    saved
        File of the model, if it was saved.
    """

    map: MapSummary
    model: str
    held_out: HeldOutScores
    probabilities: MapSummary | None = None
    saved: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        more = None if self.probabilities is None else self.probabilities.to_json()
        return {
            **self.map.to_json(),
            "model": self.model,
            "held_out": self.held_out.to_json(),
            "probabilities": more,
            "saved": self.saved,
        }

    def to_table(self) -> str:
        """Return what was written, the scores, each class, and what to beware of."""
        parts = [self.map.to_table()]
        beside = [("probabilities", self.probabilities.out)] if self.probabilities else []
        beside += [("model", self.saved)] if self.saved else []
        if beside:
            parts.append(aligned(beside))
        return "\n\n".join([*parts, self.held_out.to_table(self.model)])


@dataclass(frozen=True)
class ModelRequest:
    """What is asked of a map that a model makes.

    Parameters
    ----------
    model
        Name of a kind of model, or the file of a saved one.
    save_model
        Where to save the model.
    training, place, options
        What it learns from, which part it maps, and how the map is written.
    """

    model: str
    save_model: str | Path | None
    training: TrainingOptions
    place: MapPlace
    options: MapOptions

    @classmethod
    def gather(
        cls,
        function: str,
        flat: Mapping[str, Any],
        training: TrainingOptions | None,
        model: str | Path,
        save_model: str | Path | None,
    ) -> "ModelRequest":
        """Put flat keywords into their groups."""
        given = {"training": training, "place": None, "options": None}
        defaults = {"training": TrainingOptions(), "place": MapPlace(), "options": MapOptions()}
        parts = groups.gather(function, flat, given, defaults)
        return cls(str(model), save_model, **parts)

    def check(self, out: str | Path, kinds: tuple[Kind, ...]) -> None:
        """Refuse what cannot work before anything is read.

        Raises
        ------
        InvalidConfigError
            If the model is neither a kind nor a file, or a saved one comes with labels.
        """
        self.options.check(out)
        if self.save_model is not None:
            check_beside(self.save_model, ".json", out, overwrite=self.options.overwrite)
        if self.is_saved:
            if self.training.labels is not None:
                raise InvalidConfigError(
                    f"model {self.model}: it has learned already, and --labels are given too; give "
                    "one of both"
                )
        elif self.model not in kinds:
            raise InvalidConfigError(
                f"model {self.model!r}; expected one of {', '.join(kinds)}, or the .json file of a "
                "saved model"
            )

    def save(self, model: TrainedModel) -> None:
        """Save the model, if that was asked for.

        Raises
        ------
        DestinationExistsError
            If another one is there, and is not to be replaced.
        OutputError
            If it cannot be written.
        """
        if self.save_model is not None:
            save_model(model, self.save_model, replaces=self.options.overwrite)

    @property
    def saved(self) -> str | None:
        """Name of the file that holds the model, if any."""
        return None if self.save_model is None else str(self.save_model)

    @property
    def is_saved(self) -> bool:
        """Whether the model comes out of a file."""
        return Path(self.model).suffix.lower() == ".json"

    def get_model(
        self, store: str | Path | StoreReader, encoding: Encoding, *, quantities: bool
    ) -> tuple[TrainedModel, HeldOutScores]:
        """Load the model, or test and train it; return it with what is known of its accuracy.

        Raises
        ------
        InvalidConfigError
            If a saved model is of another encoding or predicts something else, or labels cannot be
            learned from.
        """
        if self.is_saved:
            model = load_model(self.model)
            model.require(encoding, self.model)
            if (model.classes is None) != quantities:
                does, asks = ("numbers", "classes") if not quantities else ("classes", "numbers")
                command = "regress" if not quantities else "classify"
                raise InvalidConfigError(
                    f"{self.model}: a model that predicts {does}, not {asks}; use geoembz map "
                    f"{command}"
                )
            return model, HeldOutScores.from_json(model.training.get("held_out"), self.model)
        with single_threaded_blas():  # so that the model does not depend on the machine's cores
            return self._train(store, quantities=quantities)

    def _train(
        self, store: str | Path | StoreReader, *, quantities: bool
    ) -> tuple[TrainedModel, HeldOutScores]:
        kind: Kind = next(each for each in KINDS if each == self.model)
        place = self.place
        rows = read_training_set(
            store,
            self.training,
            time=place.time,
            level=place.level,
            quantities=quantities,
            most=MOST_REFERENCES if kind == "knn" else None,
        )
        held_out = score_held_out(rows, kind)
        about = {
            "labels": Path(str(self.training.labels)).name,
            "column": rows.column,
            "seed": self.training.seed,
            "held_out": held_out.to_json(),
        }
        return train(rows, kind, about), held_out
