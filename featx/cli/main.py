"""The command `featx`: finds subcommands without importing them, and turns errors into one clear line."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

import click

from featx import __version__
from featx.cli.fast_start import starts_fast
from featx.cli.terminal import say_line, say_text, write_any_name
from featx.errors import FeatxError, MissingFeatures, first_line, unknown
from featx.log import NOTE, escape_controls
from featx.processes.signals import Terminated, deliver_again, find_stop

COMMANDS = {
    "auto": "Do the whole job within a budget of time: extract, choose, evaluate, write the model.",
    "layers": "Show shape, cost and storage of each layer of a base.",
    "extract": "Compute and store features of images.",
    "fit": "Train and evaluate one classifier on cached features.",
    "compare": "Compare layers and classifiers in one table.",
    "advise": "Recommend a layer and a next step, by measurement.",
    "inspect": "Look at data through its features: copies, wrong labels, strangers and more.",
    "similar": "Show the nearest pictures of a data set to some images.",
    "finetune": "Train a head, then fine-tune stages of the base with it.",
    "predict": "Label new images with a model.",
    "explain": "Show where in pictures a model finds the evidence for a class.",
    "report": "Write one HTML page on what was evaluated.",
    "score": "Score a saved model on new labelled images.",
    "export": "Write a model as one ONNX file that runs without featx, or for OpenVINO.",
    "run": "Run an experiment described in a TOML file.",
    "cache": "List, check, clean and export the feature store.",
    "doctor": "Check this machine, and say what is not in order.",
    "completion": "Print what a shell needs to complete commands.",
}
"""Name of a command: the line that `featx --help` shows; each lives in the module of its name."""

TORCH_COMMANDS = frozenset({"auto", "layers", "extract", "finetune", "run", "score", "similar", "explain"})
"""Commands that run a network; `advise` rarely does, and `predict` only where its model is not one for ONNX Runtime, so
these prepare for it by themselves."""


NETWORK_LIBRARIES = ("torch", "torchvision")
"""What runs networks, and may be left out where only cached features and exported models are used."""

NO_TORCH = (
    "{} is not installed, which runs networks: pip install torch torchvision. Without it, featx compares, fits, "
    "inspects and reports what is cached, and labels pictures with .onnx files"
)
"""What a command says that needs a network where there is nothing to run it."""

OTHER_TORCHVISION = "the torchvision that is installed was built for another torch ({}); `featx doctor` says what to do"
"""What it says where torchvision finds its own operators missing, as beside a torch from another index."""

STOPPED = "stopped; what was committed is kept"
"""What an interrupted command says."""

INTERRUPTED_CODE = 128 + signal.SIGINT
"""Exit code of a command that Ctrl-C stopped, as shells give it."""

ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals by which the system asks a command to end; SIGHUP says that its terminal was closed."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is called, so that `--help` answers at once."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where a signal stops it, say what is left of its work."""
        # Here, since click itself would say "Aborted!" and exit with 1.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            ctx.exit(tell_stopped(stop))
        except click.UsageError as error:
            # click repeats what was typed, which may be the name of a file.
            raise click.UsageError(escape_controls(error.format_message()), error.ctx) from error
        except Exception as error:
            wrapped = find_stop(error)
            if wrapped is None:
                raise
            ctx.exit(tell_stopped(wrapped))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"featx.cli.{name}").command
        return starts_fast(command) if name in TORCH_COMMANDS else command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or say which is nearest."""
        # click itself would say only that there is no such command.
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(str(unknown("command", args[0], COMMANDS)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


FIRST_STEPS = """\
Three first steps:

  featx auto photos --base resnet50 --out photos.featx   do the whole job: photos is a folder with one folder per class
  featx predict photos.featx new                         label the images in the folder new
  featx doctor                                           check this machine, and say what is not in order

resnet50 is downloaded once, 98 MB. Without network, try --base tiny, which comes with featx and is much weaker.

featx --help lists all commands; featx COMMAND --help explains one, with an example."""
"""What `featx` says without arguments."""


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="featx")
@click.pass_context
def main(context: click.Context) -> None:
    """Run a frozen base over images once, keep its features, and train classifiers on them in seconds.

    `featx COMMAND --help` explains a command, with an example.

    \b
    Example:
      featx extract digits --base tiny --layer layer2 --layer layer4
      featx compare digits --base tiny
    """
    write_any_name()
    if context.invoked_subcommand is None:
        say_text(FIRST_STEPS)


class LineFormatter(logging.Formatter):
    """Prints a log record as one line that begins with its level in small letters."""

    def format(self, record: logging.LogRecord) -> str:
        """Write `warning: ...` and so on."""
        return escape_controls(f"{record.levelname.lower()}: {record.getMessage()}")


class SayOnce(logging.Filter):
    """Drops what was said before: commands of several steps list the same data set in each."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[tuple[int, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record says something new."""
        line = (record.levelno, record.getMessage())
        is_new = line not in self.said
        self.said.add(line)
        return is_new


class LineHandler(logging.StreamHandler[TextIO]):
    """Prints log records above progress bars, not in the middle of one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; a bar that is shown moves down."""
        # No bar was ever shown where nothing has imported its library.
        tqdm = sys.modules.get("tqdm")
        if tqdm is None:
            super().emit(record)
            return
        with tqdm.tqdm.external_write_mode(file=self.stream):
            super().emit(record)


LOG_LEVELS = {-1: logging.ERROR, 0: NOTE, 1: logging.INFO}
"""Verbosity to the least level that is logged."""


def set_up_logging(verbosity: int) -> None:
    """Send featx's log to stderr: warnings and notes, each once; with -v also what is going on, with -q errors only.

    Parameters
    ----------
    verbosity : int
        -1 for errors only, 0 for warnings and notes, 1 for information, more for everything.
    """
    handler = LineHandler()
    handler.setFormatter(LineFormatter())
    handler.addFilter(SayOnce())
    logger = logging.getLogger("featx")
    logger.handlers[:] = [handler]
    logger.setLevel(LOG_LEVELS.get(verbosity, logging.DEBUG))


def explain(error: FeatxError) -> str:
    """Word an error for the terminal: its message, and the command that mends it where there is one."""
    if isinstance(error, MissingFeatures) and error.request is not None:
        return f"{error}. Run: {error.request.command()}"
    return str(error)


def explain_import(error: Exception) -> str | None:
    """Word what torch and torchvision raise where one is missing, or they do not fit; None for any other error."""
    if isinstance(error, ModuleNotFoundError):
        library = (error.name or "").partition(".")[0]
        return NO_TORCH.format(library) if library in NETWORK_LIBRARIES else None
    if "operator torchvision::" in str(error):
        return OTHER_TORCHVISION.format(first_line(error))
    return None


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Handle a signal as Ctrl-C is handled: what is computed is committed, and processes are ended."""
    # Once is enough: a second signal would interrupt the committing.
    for ending in ENDING_SIGNALS:
        signal.signal(ending, signal.SIG_IGN)
    raise Terminated(number)


def handle_signals() -> None:
    """Let signals that ask for the end stop a command in order, but for SIGHUP where `nohup` had it ignored."""
    for number in ENDING_SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, terminate)


def ignore_signals() -> None:
    """Let nothing interrupt the end of a command any more: threads and processes are being joined."""
    for number in (signal.SIGINT, *ENDING_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def tell_stopped(stop: KeyboardInterrupt) -> int:
    """Say that a command was stopped, and give its exit code."""
    ignore_signals()
    # A terminal that was closed takes no words.
    with suppress(OSError):
        say_line(STOPPED, err=True)
    return stop.exit_code if isinstance(stop, Terminated) else INTERRUPTED_CODE


def run(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    0: done. 1: a user's error, or rows that failed. 2: bad usage. 128 and the number of a signal: stopped by it.
    """
    set_up_logging(0)
    handle_signals()
    deliver_again(handle_signals)
    # Imports make objects by the hundred thousand and no garbage: collecting would only slow the start.
    gc.set_threshold(50_000, 20, 100)
    try:
        code = run_command(args)
    except KeyboardInterrupt as stop:
        code = tell_stopped(stop)
    # What is done is done: nothing that arrives while Python takes itself down changes that.
    ignore_signals()
    sys.exit(code)


def run_command(args: list[str] | None) -> int:
    """Run a command and word its errors; give the exit code."""
    try:
        main.main(args=args, prog_name="featx", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except FeatxError as error:
        say_line(f"error: {explain(error)}", err=True)
    except (ImportError, RuntimeError) as error:
        explained = explain_import(error)
        if explained is None:
            raise
        say_line(f"error: {explained}", err=True)
    except BrokenPipeError:
        # Python flushes stdout once more while it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # A folder or disk that refuses where nothing more is known than its name.
        where = f"'{error.filename}': " if error.filename is not None else ""
        say_line(f"error: {where}{error.strerror or error}", err=True)
    return 1
