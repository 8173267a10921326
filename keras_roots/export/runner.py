"""Running LiteRT files on the CPU, with XNNPACK."""

import collections
import contextlib
import os
from collections.abc import Mapping

import numpy as np

from keras_roots.export import signature
from keras_roots.utils import checks

_DELEGATE = "DELEGATE"
# What LiteRT's interpreter raises on damaged files besides ValueErrors.
_OF_DAMAGED = (RuntimeError, LookupError, TypeError, OverflowError)


def require_litert():
    """Returns `ai_edge_litert.interpreter`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise ImportError(
            "LiteRT files run with ai-edge-litert: pip install 'keras_roots[litert]'"
        ) from error
    return interpreter


class LiteRTModel:
    """A LiteRT file, loaded and ready to run on the CPU.

    Args:
        file: Path of a `.tflite` file, or its content.
        threads: Number of threads.
        delegate: Whether XNNPACK, the CPU delegate, may take the operations that it
            knows; it makes them many times faster.
        batch_size: Images per call, where the file leaves that open.
        image_shape: Shape of one image, where the file of one input leaves that open.

    Attributes:
        batch_size: Images per call.
        input_shapes: Shape of one image for every input, by the names that the file's
            signature has.
        image_shape: That of the first input.
        input_dtypes: NumPy dtype of every input; int8 and uint8 are quantised.
        dtype: That of the first input.

    Raises:
        ImportError: ai-edge-litert is not installed.
        ValueError: The file is no LiteRT file, or takes something other than batches.
        FileNotFoundError: There is no such file.

    Example:
        >>> LiteRTModel("root_nin_8.tflite").predict(images)[0].argmax(-1)
    """

    def __init__(
        self, file, threads=1, *, delegate=True, batch_size=None, image_shape=None
    ):
        if not isinstance(file, bytes):
            file = checks.path("file", file, required=True)
        threads = checks.integer("threads", threads)
        checks.boolean("delegate", delegate)
        if batch_size is not None:
            batch_size = checks.integer("batch_size", batch_size)
        if image_shape is not None:
            image_shape = checks.integers("image_shape", image_shape)
        litert = require_litert()
        resolver = (
            litert.OpResolverType.AUTO
            if delegate
            else litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        options = {"num_threads": threads, "experimental_op_resolver_type": resolver}
        if isinstance(file, bytes):
            options["model_content"] = file
        elif os.path.isfile(file):
            options["model_path"] = file
        else:
            raise FileNotFoundError(f"`file` is missing: no LiteRT file {file!r}")
        self._shown = f"{len(file)} bytes" if isinstance(file, bytes) else repr(file)
        with self._refusals(ValueError, *_OF_DAMAGED):
            self._interpreter = litert.Interpreter(**options)
            self._resize(batch_size, image_shape)
            self._interpreter.allocate_tensors()
        with self._refusals(UnicodeDecodeError, *_OF_DAMAGED):
            self._inputs = self._named_inputs()
            self._outputs = self._ordered_outputs()
            if not self._inputs or not self._outputs:
                raise LookupError("it has no inputs, or no outputs")
        shapes = {
            name: tuple(map(int, details["shape"]))
            for name, details in self._inputs.items()
        }
        self.batch_size = next(iter(shapes.values()))[0]
        self.input_shapes = {name: shape[1:] for name, shape in shapes.items()}
        self.image_shape = next(iter(self.input_shapes.values()))
        self.input_dtypes = {
            name: np.dtype(details["dtype"]) for name, details in self._inputs.items()
        }
        self.dtype = next(iter(self.input_dtypes.values()))

    def predict(self, images: np.ndarray | Mapping) -> list[np.ndarray]:
        """Returns the outputs for images, one array per output.

        Quantised inputs and outputs are converted from and to float32.

        Args:
            images: Images `(n, height, width, channels)`, as the Keras model takes
                them; `n` may be any number. For several inputs, a dictionary of arrays
                by the names of `input_shapes`.

        Raises:
            ValueError: The images have another shape, or lack an input; or the file is
                damaged, which LiteRT may find only now.
        """
        arrays = self._by_name(images)
        (count,) = {len(array) for array in arrays.values()}
        batches = []
        for start in range(0, count, self.batch_size):
            size = min(self.batch_size, count - start)
            # The last batch is filled with its last image.
            rows = np.minimum(np.arange(start, start + self.batch_size), count - 1)
            self.set_input({name: array[rows] for name, array in arrays.items()})
            self.invoke()
            with self._refusals(ValueError, *_OF_DAMAGED):
                batches.append([output[:size] for output in self._read()])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def set_input(self, images: np.ndarray | Mapping) -> None:
        """Sets the inputs of `invoke`: `batch_size` images, as for `predict`."""
        for name, array in self._by_name(images).items():
            details = self._inputs[name]
            with self._refusals(ValueError, *_OF_DAMAGED):
                self._interpreter.set_tensor(
                    details["index"], _quantize(array, details)
                )

    def invoke(self) -> None:
        """Runs the network once on the input that was set.

        Raises:
            ValueError: The file is damaged, which LiteRT may find only now.
        """
        with self._refusals(*_OF_DAMAGED):
            self._interpreter.invoke()

    def operations(self) -> dict[str, int] | None:
        """Returns how often the network uses each operation, `None` if unknown."""
        return self._histogram(lambda node, taken: True)

    def undelegated(self) -> dict[str, int] | None:
        """Returns the operations that XNNPACK did not take, `None` if unknown."""
        return self._histogram(lambda node, taken: node["index"] not in taken)

    def float_operations(self) -> dict[str, int] | None:
        """Returns the operations in floating point, `None` if unknown."""
        return self._histogram(
            lambda node, taken: (
                node["op_name"] != "DEQUANTIZE"
                and any(np.dtype(kind).kind == "f" for kind in node["result_types"])
            )
        )

    def _histogram(self, counts):
        try:
            # A private function, the only one that lists them; it may disappear.
            with self._refusals(UnicodeDecodeError, *_OF_DAMAGED):
                nodes = self._interpreter._get_ops_details()
        except AttributeError:
            return None
        taken = _delegated(nodes)
        found = collections.Counter(
            node["op_name"]
            for node in nodes
            if node["op_name"] != _DELEGATE and counts(node, taken)
        )
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def _by_name(self, images) -> dict[str, np.ndarray]:
        names = list(self.input_shapes)
        if not isinstance(images, Mapping):
            if len(names) > 1:
                raise ValueError(
                    f"`images` must be a dictionary of arrays by name, {names}: the "
                    f"file has several inputs. Received: {type(images).__name__}"
                )
            images = {names[0]: images}
        if set(images) != set(names):
            raise ValueError(
                f"`images` must have the names {names}. Received: {list(images)}"
            )
        arrays = {name: np.asarray(array) for name, array in images.items()}
        for name, shape in self.input_shapes.items():
            if arrays[name].shape[1:] != shape or not arrays[name].ndim:
                called = "images" if len(names) == 1 else f"images[{name!r}]"
                raise ValueError(
                    f"`{called}` must be of shape (n, {', '.join(map(str, shape))}). "
                    f"Received: shape {arrays[name].shape}"
                )
        if len({len(array) for array in arrays.values()}) > 1:
            raise ValueError(
                "`images` must hold as many for every input. Received: "
                f"{ ({name: len(array) for name, array in arrays.items()}) }"
            )
        return arrays

    @contextlib.contextmanager
    def _refusals(self, *kinds):
        """Turns what LiteRT raises into one line that names the file."""
        try:
            yield
        except kinds as error:
            raise ValueError(
                f"`file` must be a LiteRT file. Received: file={self._shown}, and "
                f"LiteRT says: {checks.quoted(error)}"
            ) from error

    def _resize(self, batch_size, image_shape):
        for details in self._interpreter.get_input_details():
            fixed = details["shape_signature"].tolist()
            shape = details["shape"].tolist()
            wanted = [batch_size or shape[0], *(image_shape or shape[1:])]
            if wanted == shape:
                continue
            if len(wanted) != len(fixed) or any(
                known not in (-1, side)
                for known, side in zip(fixed, wanted, strict=True)
            ):
                raise ValueError(
                    f"its input has the fixed shape {tuple(fixed)}. "
                    f"Received: batch_size={batch_size}, image_shape={image_shape}"
                )
            self._interpreter.resize_tensor_input(details["index"], wanted, strict=True)

    def _named_inputs(self):
        """The inputs by the names of the signature, or of the tensors without one."""
        inputs = self._interpreter.get_input_details()
        shapes = [tuple(map(int, details["shape"])) for details in inputs]
        if not inputs or len({shape[:1] for shape in shapes}) > 1 or () in shapes:
            raise ValueError(
                "A LiteRT file must take batches, of one size for all its inputs. "
                f"Received one with inputs of shapes {shapes}"
            )
        if len(self._interpreter.get_signature_list()) != 1:
            return {details["name"]: details for details in inputs}
        return self._interpreter.get_signature_runner().get_input_details()

    def _ordered_outputs(self):
        """Only the signature keeps the Keras model's order of outputs."""
        if len(self._interpreter.get_signature_list()) != 1:
            return self._interpreter.get_output_details()
        details = self._interpreter.get_signature_runner().get_output_details()
        return [details[name] for name in signature.in_order(details)]

    def _read(self) -> list[np.ndarray]:
        return [
            _dequantize(self._interpreter.get_tensor(details["index"]), details)
            for details in self._outputs
        ]


def _quantize(images, details):
    dtype = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    if dtype.kind not in "iu" or not scale:
        return images.astype(dtype)
    limits = np.iinfo(dtype)
    steps = np.round(images / scale) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _dequantize(values, details):
    scale, zero_point = details["quantization"]
    if values.dtype.kind not in "iu" or not scale:
        return values
    return (values.astype("float32") - zero_point) * np.float32(scale)


def _delegated(nodes) -> set[int]:
    """Returns the indices of the operations that run within delegates.

    A delegate's node stands beside the operations that it replaces: those from which
    its outputs come, back to its inputs.
    """
    delegates = [node for node in nodes if node["op_name"] == _DELEGATE]
    producers = {
        int(tensor): node
        for node in nodes
        if node["op_name"] != _DELEGATE
        for tensor in node["outputs"]
    }
    taken = set()
    for delegate in delegates:
        known = {int(tensor) for tensor in delegate["inputs"]}
        pending = [int(tensor) for tensor in delegate["outputs"]]
        while pending:
            tensor = pending.pop()
            node = producers.get(tensor)
            if tensor in known or node is None or node["index"] in taken:
                continue
            taken.add(node["index"])
            pending += [int(source) for source in node["inputs"]]
    return taken
