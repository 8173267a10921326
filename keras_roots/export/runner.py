"""Running LiteRT files on the CPU, with XNNPACK."""

import collections
import os

import numpy as np

from keras_roots.export import check

_DELEGATE = "DELEGATE"


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
        image_shape: Shape of one image, where the file leaves that open.

    Attributes:
        batch_size: Images per call.
        image_shape: Shape of one image.
        dtype: NumPy dtype of the input; int8 and uint8 inputs are quantised.

    Raises:
        ImportError: ai-edge-litert is not installed.
        ValueError: The file is no LiteRT file, or takes something other than images.
        FileNotFoundError: There is no such file.

    Example:
        >>> LiteRTModel("root_nin_8.tflite").predict(images)[0].argmax(-1)
    """

    def __init__(
        self, file, threads=1, *, delegate=True, batch_size=None, image_shape=None
    ):
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
            options["model_path"] = os.fspath(file)
        else:
            raise FileNotFoundError(f"There is no LiteRT file {os.fspath(file)!r}")
        try:
            self._interpreter = litert.Interpreter(**options)
            self._resize(batch_size, image_shape)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            shown = "of these bytes" if isinstance(file, bytes) else repr(str(file))
            raise ValueError(f"LiteRT cannot load the file {shown}: {error}") from error
        self._input = self._image_input()
        self._outputs = self._ordered_outputs()
        self.batch_size = int(self._input["shape"][0])
        self.image_shape = tuple(int(side) for side in self._input["shape"][1:])
        self.dtype = np.dtype(self._input["dtype"])

    def predict(self, images: np.ndarray) -> list[np.ndarray]:
        """Returns the outputs for images, one array per output.

        Quantised inputs and outputs are converted from and to float32.

        Args:
            images: Images `(n, height, width, channels)`, as the Keras model takes
                them; `n` may be any number.

        Raises:
            ValueError: The images have another shape.
        """
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"`images` must be of shape (n, {', '.join(map(str, self.image_shape))}"
                f"). Received: shape {images.shape}"
            )
        batches = []
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            missing = self.batch_size - len(batch)
            padded = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            self.set_input(padded)
            self.invoke()
            batches.append([output[: len(batch)] for output in self._read()])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def set_input(self, images: np.ndarray) -> None:
        """Sets the input of `invoke`: `batch_size` images."""
        self._interpreter.set_tensor(
            self._input["index"], _quantize(images, self._input)
        )

    def invoke(self) -> None:
        """Runs the network once on the input that was set."""
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

    def _resize(self, batch_size, image_shape):
        details = self._interpreter.get_input_details()[0]
        signature = details["shape_signature"].tolist()
        shape = details["shape"].tolist()
        wanted = [batch_size or shape[0], *(image_shape or shape[1:])]
        if wanted == shape:
            return
        if len(wanted) != len(signature) or any(
            known not in (-1, side)
            for known, side in zip(signature, wanted, strict=True)
        ):
            raise ValueError(
                f"its input has the fixed shape {tuple(signature)}. "
                f"Received: batch_size={batch_size}, image_shape={image_shape}"
            )
        self._interpreter.resize_tensor_input(details["index"], wanted, strict=True)

    def _image_input(self):
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1 or len(inputs[0]["shape"]) != 4:
            raise ValueError(
                "A LiteRT file must take one batch of images. Received one with inputs "
                f"of shapes {[tuple(map(int, x['shape'])) for x in inputs]}"
            )
        return inputs[0]

    def _ordered_outputs(self):
        """Only the signature keeps the Keras model's order of outputs."""
        if len(self._interpreter.get_signature_list()) != 1:
            return self._interpreter.get_output_details()
        details = self._interpreter.get_signature_runner().get_output_details()
        return [details[name] for name in check.in_order(details)]

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
