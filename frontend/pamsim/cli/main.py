"""The `pamsim` command: its sub-commands by name, and one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from pamsim.errors import (
    EXIT_INPUT,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    InputErrors,
    PamsimError,
    did_you_mean,
)

# name -> (module, one line of help). Modules are imported when their command runs, so that help is
# quick.
COMMANDS = {
    "run": ("run", "Compile, simulate, prove and summarise one decode step."),
    "prefill": ("prefill", "How a prompt's KV cache is written into the tiers."),
    "compare": ("compare", "Run one step on several machines or layouts, side by side."),
    "compile": ("compile", "Write the programs of a decode step: binaries, text, block table."),
    "trace": ("trace", "The DRAM commands of a program: write, show, convert."),
    "simulate": ("simulate", "Run programs cycle by cycle, without proofs."),
    "validate": ("validate", "Prove programs, layout and command timing."),
    "timeline": ("timeline", "What a step waited for, and its timeline for Perfetto."),
    "check": ("check", "Recompute every sum of a result from its parts."),
    "isa": ("isa", "Instruction sets: show, asm, disasm, check."),
    "config": ("config", "Machine descriptions: list, show, check, schema."),
    "sweep": ("sweep", "Batches of runs: plan, submit, status, collect, retry, plot."),
    "models": ("models", "List the models that are known by name."),
    "doctor": ("doctor", "Say what pamsim finds on this machine."),
    "version": ("version", "Print the version."),
}


class LazyGroup(click.Group):
    """A group whose commands are named here and live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pamsim.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            ctx.fail(f"no such command {args[0]!r}" + (f", {hint}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 internal error, 2 usage, 3 some points failed, 4 a proof found a "
    "violation, 5 bad configuration or input, 130 interrupted.",
)
def cli() -> None:
    """Cycle-accurate processing-in-memory for LLM serving.

    Compiles decode attention into programs for PIM devices, simulates them, and proves the result.
    Start with:

    \b
      pamsim run --model llama-3-8b --system pam-hbm --context 8192
    """


def main(argv: Sequence[str] | None = None) -> int:
    """The console script: runs the command line and returns its exit code; nothing is raised."""
    _open_streams()
    _terminate_politely()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has what it wanted. Python's own flush at exit must not complain.
        _forget_stdout()
        return EXIT_OK
    except OSError as error:
        code = _unexpected(error)
        _forget_stdout()
    return code


def _run(argv: list[str]) -> int:
    try:
        # Not cli.main(): it turns a closed pipe into exit code 1 before anybody else sees it.
        if "_PAMSIM_COMPLETE" in os.environ:
            cli.main(args=argv, prog_name="pamsim")
        with cli.make_context("pamsim", argv) as context:
            result = cli.invoke(context)
        return result if isinstance(result, int) else EXIT_OK
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _say(error.format_message())
        return EXIT_INPUT
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; nothing was left half written")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except InputErrors as errors:
        for fault in errors.errors:
            _say(str(fault))
        return errors.exit_code
    except PamsimError as error:
        _say(str(error))
        return error.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_INTERNAL
    except Exception as error:
        code = _unexpected(error)
        if isinstance(error, OSError):
            _forget_stdout()  # what is still in its buffer may not be written either
        return code


def _unexpected(error: Exception) -> int:
    """Errors of the packages that know nothing of pamsim's, and true bugs."""
    if type(error).__name__ == "IsaError":
        _say(str(error))
        return EXIT_INPUT
    if type(error).__name__ == "Cancelled":
        _say("interrupted; nothing was left half written")
        return EXIT_INTERRUPTED
    if os.environ.get("PAMSIM_DEBUG"):
        import traceback

        traceback.print_exc()
    if isinstance(error, OSError) and error.strerror:  # the machine's: a full disk, a limit
        _say(error.strerror + (f": {error.filename}" if error.filename else ""))
        return EXIT_INPUT
    if isinstance(error, MemoryError):
        _say("out of memory: try a smaller batch or context")
        return EXIT_INTERNAL
    text = " ".join(str(error).split()) or "no message"
    _say(f"internal error: {type(error).__name__}: {text}")
    _say("this is a bug in pamsim: please report it with the command line, `pamsim doctor` and the")
    _say("output of the same command with PAMSIM_DEBUG=1")
    return EXIT_INTERNAL


def _say(message: str) -> None:
    printable = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in message)
    with contextlib.suppress(OSError):
        for line in printable.splitlines() or [""]:
            print(f"pamsim: {line}", file=sys.stderr)


def _forget_stdout() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    finally:
        os.close(nowhere)


def _open_streams() -> None:
    """Where a shell closed stdin, stdout or stderr (`>&-`), nothing is read or said."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _terminate_politely() -> None:
    """SIGTERM unwinds like an interrupt, so that nothing is left half written."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    sys.exit(main())
