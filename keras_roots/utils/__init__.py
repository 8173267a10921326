"""Utilities of every package: checks of arguments, files, tables of text."""

from keras_roots.utils import checks
from keras_roots.utils.checksums import append_checksum, verify_checksum
from keras_roots.utils.files import (
    print_csv,
    read_csv,
    write_csv,
    write_text,
)
from keras_roots.utils.files import size as file_size
from keras_roots.utils.json_files import parse_json, read_json
from keras_roots.utils.kmeans import kmeans, squared_distance
from keras_roots.utils.loading import check_weights_file, load_model, save_model
from keras_roots.utils.locks import lock_file
from keras_roots.utils.packages import is_installed
from keras_roots.utils.progress import progress
from keras_roots.utils.replacement import (
    buffered,
    copy,
    is_leftover,
    remove_leftovers,
    replacing,
)
from keras_roots.utils.saved_models import load_saved_model, load_signature
from keras_roots.utils.tables import (
    format_rows,
    format_table,
    markdown_rows,
    markdown_table,
)
from keras_roots.utils.worker import ProcessEndedError, Worker

__all__ = [
    "ProcessEndedError",
    "Worker",
    "append_checksum",
    "buffered",
    "check_weights_file",
    "checks",
    "copy",
    "file_size",
    "format_rows",
    "format_table",
    "is_installed",
    "is_leftover",
    "kmeans",
    "load_model",
    "load_saved_model",
    "load_signature",
    "lock_file",
    "markdown_rows",
    "markdown_table",
    "parse_json",
    "print_csv",
    "progress",
    "read_csv",
    "read_json",
    "remove_leftovers",
    "replacing",
    "save_model",
    "squared_distance",
    "verify_checksum",
    "write_csv",
    "write_text",
]
