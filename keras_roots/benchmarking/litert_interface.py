"""LiteRT's C interface, which tells the time of each operation: a script for `worker`.

It changes between versions, and a call that no longer fits may end the process. So it
gets a process of its own, which imports nothing of this package.
"""

import ctypes
import glob
import os
import time

import numpy as np

_CPU = 1
_FLOAT32 = 1
_BYTES = (3, 9)  # unsigned and signed
_WRITE = 1
_FIRST = ctypes.c_size_t(0)
_WARMUP = 2
_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda text: None)
# Larger than LiteRT's description of a tensor, which goes from one call to another
# unread, but for its first number.
_TENSOR_TYPE = ctypes.c_int * 64


class Network:
    """A LiteRT file on the CPU delegate, with random inputs.

    Args:
        file: Path of the file.
        threads: Number of threads.

    Raises:
        ImportError: LiteRT is not installed.
        FileNotFoundError: It comes without its library.
        AttributeError: This version of LiteRT lacks a function.
        RuntimeError: LiteRT refuses the file or a call.
    """

    def __init__(self, file: str, threads: int):
        import ai_edge_litert

        folder = os.path.dirname(ai_edge_litert.__file__)
        libraries = glob.glob(os.path.join(folder, "libLiteRt.*"))
        if not libraries:
            raise FileNotFoundError(f"There is no libLiteRt in {folder!r}")
        self._library = ctypes.CDLL(libraries[0])
        self._environment = self._made("CreateEnvironment", 0, None)
        self._model = self._made(
            "CreateModelFromFile", self._environment, os.fsencode(file)
        )
        self._kept: list[ctypes.Array] = []
        self._options = {
            profiling: self._make_options(
                runtime_options_string=f"enable_profiling = {profiling}",
                xnnpack=f"num_threads = {threads}",
            )
            for profiling in ("true", "false")
        }
        self._compiled = self._compile("false")
        signature = self._made("GetModelSignature", self._model, _FIRST)
        self._buffers = (
            *self._make_buffers("Input", signature),
            *self._make_buffers("Output", signature),
        )

    def time(self) -> float:
        """Runs the network, and returns the seconds that it takes."""
        start = time.perf_counter()
        self._run(self._compiled)
        return time.perf_counter() - start

    def profile(self) -> str:
        """Runs the network, and returns LiteRT's summary of its operations.

        A profiler adds up all that it has ever seen, so each run gets a new one.
        """
        compiled = self._compile("true")
        for _ in range(_WARMUP):
            self._run(compiled)
        profiler = self._made("CompiledModelGetProfiler", compiled)
        self._call("StartProfiler", profiler)
        self._run(compiled)
        self._call("StopProfiler", profiler)
        text = self._made("GetProfileSummary", profiler, compiled)
        summary = ctypes.string_at(text).decode()
        ctypes.CDLL(None).free(text)
        self._library.LiteRtDestroyCompiledModel(compiled)
        return summary

    def _compile(self, profiling):
        options = self._options[profiling]
        return self._made(
            "CreateCompiledModel", self._environment, self._model, options
        )

    def _run(self, compiled):
        self._call("RunCompiledModel", compiled, _FIRST, *self._buffers)

    def _make_options(self, **texts):
        options = self._made("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, _CPU)
        for pair in texts.items():
            name, text = (ctypes.create_string_buffer(item.encode()) for item in pair)
            # LiteRT keeps what it gets, to the end of the process.
            self._kept += [name, text]
            made = self._made("CreateOpaqueOptions", name, text, _FREE)
            self._call("AddOpaqueOptions", options, made)
        return options

    def _make_buffers(self, kind, signature):
        """Returns how many inputs or outputs there are, and their buffers."""
        count = ctypes.c_size_t()
        self._call(f"GetNumSignature{kind}s", signature, ctypes.byref(count))
        buffers = [
            self._make_buffer(kind, signature, ctypes.c_size_t(index))
            for index in range(count.value)
        ]
        return count, (ctypes.c_void_p * count.value)(*buffers)

    def _make_buffer(self, kind, signature, index):
        tensor = self._made(f"GetSignature{kind}TensorByIndex", signature, index)
        described = _TENSOR_TYPE()
        self._call("GetRankedTensorType", tensor, ctypes.byref(described))
        needed = self._made(
            f"GetCompiledModel{kind}BufferRequirements", self._compiled, _FIRST, index
        )
        buffer = self._made(
            "CreateManagedTensorBufferFromRequirements",
            self._environment,
            ctypes.byref(described),
            needed,
        )
        size = ctypes.c_size_t()
        self._call("GetTensorBufferSize", buffer, ctypes.byref(size))
        values = np.random.default_rng(0).integers(0, 256, size.value, "uint8")
        if described[0] == _FLOAT32:
            values = values[: size.value // 4].astype("float32")
        elif described[0] not in _BYTES:
            values[:] = 0  # an index of a table, perhaps
        address = self._made("LockTensorBuffer", buffer, last=_WRITE)
        ctypes.memmove(address, values.tobytes(), values.nbytes)
        self._call("UnlockTensorBuffer", buffer)
        return buffer

    def _made(self, name, *arguments, last=None):
        """Returns the pointer that a function gives by its last argument but `last`."""
        pointer = ctypes.c_void_p()
        more = () if last is None else (last,)
        self._call(name, *arguments, ctypes.byref(pointer), *more)
        return pointer

    def _call(self, name, *arguments):
        status = getattr(self._library, f"LiteRt{name}")(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{name} failed with status {status}")


def start(file: str, threads: int):
    """Loads a LiteRT file.

    Args:
        file: Path of the file.
        threads: Number of threads.

    Returns:
        `None`, and two commands: `"time"` returns the seconds of each of so many calls,
        `"profile"` LiteRT's summary of each.
    """
    network = Network(file, threads)
    return None, {
        "time": lambda count: [network.time() for _ in range(count)],
        "profile": lambda count: [network.profile() for _ in range(count)],
    }
