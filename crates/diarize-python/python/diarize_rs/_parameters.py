"""The hyper-parameters of a pipeline, grouped as ``pyannote.audio`` groups them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from . import _native
from ._errors import OptionError, count_of, expect, number_of

_SEGMENTATION = ("min_duration_on", "min_duration_off")
# Options that are not hyper-parameters, and where they belong.
_ELSEWHERE = {
    **dict.fromkeys(("allow_cpu_fallback", "compat", "device", "precision", "threads"), "from_pretrained"),
    **dict.fromkeys(("num_speakers", "min_speakers", "max_speakers"), "the call of the pipeline"),
}


def ungrouped(options: _native.Options) -> dict[str, Any]:
    """All hyper-parameters, as the native library groups them."""
    return json.loads(options.parameters())  # type: ignore[no-any-return]


def grouped(options: _native.Options) -> dict[str, Any]:
    """All hyper-parameters, in pyannote's groups."""
    parameters = ungrouped(options)
    segmentation = {name: parameters.pop(name) for name in _SEGMENTATION}
    clustering = parameters.pop("clustering")
    ((_, method),) = clustering.pop("method").items()
    clustering.pop("compat", None)
    return {"segmentation": segmentation, "clustering": {**method, **clustering}, **parameters}


def assign(options: _native.Options, parameters: Mapping[str, Any]) -> None:
    """Sets the hyper-parameters in pyannote's groups.

    :raises OptionError: if there is no such parameter, or a value is wrong; then nothing is changed
    """
    before = options.parameters()
    expect("parameters", parameters, Mapping, "a dictionary")
    try:
        for group, value in parameters.items():
            expect("the name of a parameter", group, str, "text")
            if group in _ELSEWHERE:
                raise OptionError(f"{group} is not a hyper-parameter: give it to {_ELSEWHERE[group]}")
            if group in ("segmentation", "clustering"):
                expect(group, value, Mapping, "a dictionary")
            if group == "segmentation":
                _assign_segmentation(options, value)
            elif group == "clustering":
                for name, each in _dotted(value):
                    options.set(f"clustering.{name}", _text(each))
            else:
                options.set(group, _text(value))
    except BaseException:
        options.restore(before)
        raise


def assign_batch_size(options: _native.Options, name: str, size: int | None) -> None:
    """Sets a batch size; ``None`` is the default."""
    options.set(name, json.dumps(None if size is None else count_of(name, size)))


def setter_of(options: _native.Options, name: str) -> str:
    """How to set what is not an attribute of a pipeline."""
    if name == "device":
        return "use to(device)"
    for group, values in grouped(options).items():
        if name == group:
            return f"use instantiate({{{name!r}: ...}})"
        if isinstance(values, Mapping) and name in values:
            return f"use instantiate({{{group!r}: {{{name!r}: ...}}}})"
    return "use instantiate() for parameters, and the options of from_pretrained or of a call for the rest"


def _assign_segmentation(options: _native.Options, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name not in _SEGMENTATION:
            known = " and ".join(_SEGMENTATION)
            raise OptionError(f"segmentation has no parameter {name}; its parameters are {known}")
        options.set(name, _text(number_of(name, value)))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters with dots between their names."""
    for name, value in values.items():
        expect("the name of a parameter", name, str, "text")
        if isinstance(value, Mapping) and name == "kmeans":
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _text(value: Any) -> str:
    """A value as the native library reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_text(each)}" for name, each in value.items()) + " }"
    try:
        return json.dumps(value.tolist() if hasattr(value, "tolist") else value)  # NumPy's numbers
    except TypeError:
        raise OptionError(f"{value!r} is not the value of a parameter: give a number, text, True or False") from None
