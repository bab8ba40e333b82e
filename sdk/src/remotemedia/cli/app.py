"""The commands."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from remotemedia.cli import exits
from remotemedia.cli.exits import as_exit_code
from remotemedia.errors import ManifestError, NotInThisVersion, RemoteMediaError

if TYPE_CHECKING:
    from remotemedia_signaling import ServerConfig, SignalingServer

    from remotemedia.base import BuiltinNode
    from remotemedia.pipeline import Pipeline

LATER = (
    "doctor",
    "bench",
    "peers",
    "explain",
    "build",
    "push",
    "pull",
    "sign",
    "verify",
)
"""Commands of later versions."""

_CODES = "\n".join(f"* {code}: {meaning}" for code, meaning in exits.EXIT_CODES.items())

app = typer.Typer(
    name="remotemedia",
    help=f"Real-time media pipelines over WebRTC.\n\nExit codes:\n\n{_CODES}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def configure(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    """Set logging up."""
    level = logging.DEBUG if verbose else logging.WARNING
    handler = RichHandler(console=exits.errors, show_path=False, rich_tracebacks=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    for name in ("remotemedia", "remotemedia_signaling"):
        logging.getLogger(name).setLevel(level)


@app.command()
def serve(
    pipelines: Annotated[
        list[str],
        typer.Argument(
            metavar="PIPELINE...", help="Manifests (.yaml, .json), or Pipelines as app.py:name."
        ),
    ],
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen at; 0.0.0.0 lets others in. [default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 takes a free one. [default: 8080]", min=0, max=65535)
    ] = None,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", help="HTTPS with a certificate of its own: for microphones on other machines."
        ),
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file; the options here go before it.")
    ] = None,
) -> None:
    """Serve pipelines as WebRTC peers, with the demo page."""
    from remotemedia_signaling import ConfigError

    from remotemedia.cli.pipelines import load_pipeline
    from remotemedia.server import serve_with

    with as_exit_code():
        loaded = [load_pipeline(each) for each in pipelines]
        settings = _settings(config, host, port, tls)
        try:
            asyncio.run(
                serve_with(loaded, settings, on_started=lambda server: _announce(server, loaded))
            )
        except RemoteMediaError:
            raise
        except (ConfigError, ValueError) as error:
            raise ManifestError(str(error)) from error


@app.command()
def call(
    url: Annotated[str, typer.Argument(help="http://HOST:PORT/PIPELINE")],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|mic]...",
            help="Any audio file, or the microphone; several go at once, a track each, to the "
            "sources of the pipeline in their order.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="DATA",
            help="Data to send first, JSON or text; may be given several times. NAME=DATA where "
            "several sources take data.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each message as it comes, one a line.")
    ] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Send 20 times faster than real time.")
    ] = False,
    join: Annotated[str | None, typer.Option(help="Join this session.", metavar="ID")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept a certificate that is not trusted.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Write the audio that comes back: .wav, .flac, .ogg, .opus, .webm, .mp3, .m4a.",
        ),
    ] = None,
) -> None:
    """Send audio, data or both to a pipeline and show what it finds.

    Audio that comes back is written with -o; in a call by microphone it is played, too.
    """
    from remotemedia.cli.call import MICROPHONE, CallOptions
    from remotemedia.cli.call import call as run_call

    with as_exit_code():
        microphone = not Path(MICROPHONE).exists()
        audio = tuple(
            each if each == MICROPHONE and microphone else Path(each) for each in files or ()
        )
        given = tuple(inputs or ())
        options = CallOptions(url, audio, as_json, fast, join, not insecure, output, given)
        asyncio.run(run_call(options, Console()))


@app.command()
def run(
    pipeline: Annotated[
        str, typer.Argument(help="A manifest (.yaml, .json), or a Pipeline as app.py:name.")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="Audio files of any kind; for pipelines that take data .json and .jsonl files, or "
            "values. SOURCE=INPUT for each source of a pipeline that has several.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where results go: events to .jsonl, audio to .wav, .flac, .ogg, .opus, "
            ".webm, .mp3, .m4a. May be given for both. For several inputs a folder, or a pattern "
            "such as out/{stem}.flac. Without it events are printed.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            help="Inputs worked on at once, each by a process; 0 is one a core.", min=0, max=256
        ),
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as it comes, one a line.")
    ] = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="Say what each node took.")] = False,
) -> None:
    """Run files through a pipeline, as fast as it goes."""
    with as_exit_code():
        from remotemedia.cli.pipelines import load_pipeline
        from remotemedia.cli.run import RunOptions
        from remotemedia.cli.run import run as run_files

        options = RunOptions(tuple(inputs or ()), tuple(outputs or ()), jobs, as_json, metrics)
        run_files(load_pipeline(pipeline), pipeline, options, Console())


@app.command()
def nodes(
    name: Annotated[str | None, typer.Argument(help="A node type.")] = None,
) -> None:
    """List the node types, or say everything about one."""
    from remotemedia import _parameters
    from remotemedia.nodes import registry

    output = Console()
    with as_exit_code():
        if name is not None:
            _show_node(registry.find(name, "NAME"), output)
            return
        table = Table("node type", "what it does", box=None, pad_edge=False)
        for type_name, cls in registry.NODE_TYPES.items():
            table.add_row(Text(type_name, style="bold"), Text(_parameters.summary(cls)))
        output.print(table)


def _show_node(cls: type[BuiltinNode], output: Console) -> None:
    import inspect

    from remotemedia.nodes.registry import parameters

    documentation = (inspect.getdoc(cls) or "").split("Args:")[0].strip()
    output.print(Text(cls.__name__, style="bold"))
    output.print(Text(documentation), soft_wrap=True)
    output.print()
    table = Table("parameter", "type", "default", "live", "what it is", box=None, pad_edge=False)
    for each in parameters(cls):
        live = "yes" if each.live else ""
        table.add_row(*map(Text, (each.name, each.type, each.default, live, each.description)))
    output.print(table)


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="A manifest, or a Pipeline as app.py:name.")],
) -> None:
    """Check a pipeline and say what would run."""
    from remotemedia.cli.pipelines import load_pipeline
    from remotemedia.cli.showing import validate as run_validate

    with as_exit_code():
        run_validate(load_pipeline(file), Console())


@app.command()
def inspect(
    file: Annotated[str, typer.Argument(help="A manifest, or a Pipeline as app.py:name.")],
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Draw a pipeline: formats on the edges, where each node runs, and converters put in."""
    from remotemedia.cli.pipelines import load_pipeline
    from remotemedia.cli.showing import inspect as run_inspect

    with as_exit_code():
        run_inspect(load_pipeline(file), Console(), mermaid=mermaid, as_json=as_json)


def _settings(config: Path | None, host: str | None, port: int | None, tls: bool) -> ServerConfig:
    from remotemedia_signaling import ConfigError, ServerConfig

    from remotemedia.server import find_page

    try:
        settings = ServerConfig() if config is None else ServerConfig.load(config)
        told: dict[str, object] = {"host": host, "port": port}
        told["tls"] = "auto" if tls and settings.tls == "off" else None
        told["web_root"] = find_page() if settings.web_root is None else None
        told = {name: value for name, value in told.items() if value is not None}
        return settings.model_copy(update=told)
    except ConfigError as error:
        wrong = ManifestError(error.message, field=error.field)
        wrong.source = error.source
        raise wrong from error


def _announce(server: SignalingServer, pipelines: list[Pipeline]) -> None:
    output = Console()
    page = server.config.web_root is not None
    for url in server.urls:
        line = Text("open " if page else "listening at ").append(f"{url}/", style="bold")
        output.print(line, soft_wrap=True)
    for pipeline in pipelines:
        described = f"  {pipeline.description}" if pipeline.description else ""
        output.print(
            Text(f"  {server.url}/{pipeline.name}").append(described, style="dim"), soft_wrap=True
        )
    if not page:
        output.print(Text("  there is no page: build it with `make setup`", style="yellow"))
    output.print(Text("Ctrl-C ends it", style="dim"))


def _later(name: str) -> None:
    @app.command(
        name,
        hidden=True,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def command() -> None:
        with as_exit_code():
            raise NotInThisVersion(f"`remotemedia {name}` is not in this version.")


for _name in LATER:
    _later(_name)
