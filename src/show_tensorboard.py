"""Shows the trainings of a workspace in TensorBoard, in the browser: python src/show_tensorboard.py [workspace]

TensorBoard is reachable from this computer only (localhost). Ctrl-C ends it. The page follows trainings while they run.
"""

import argparse
import logging
import os
import pathlib
import warnings
from typing import Any

import command_line
import environment_variables
import storage

# Where the steps write TensorBoard's logs, each with its name on the page.
LOGS = {
    "exploration": "model tuning/trials",
    "training": "unfinished model/logs",
    "final model": "model/logs",
    "cross-validation": "cross-validation",
}


def main() -> None:
    """Shows the workspace named on the command line, or the project's own."""
    command_line.install_error_handler()
    parser = argparse.ArgumentParser(description="Show trainings in TensorBoard, in the browser.")
    parser.add_argument("workspace", nargs="?", type=pathlib.Path, default=storage.PROJECT.root, help="such as demo")
    parser.add_argument("--port", type=int, help="by default the first free one from 6006")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 < arguments.port < 2**16:
        parser.error("--port must be a number from 1 to 65535")
    _show(arguments.workspace.resolve(), arguments.port)


def _show(workspace: pathlib.Path, port: int | None = None) -> None:
    """Serves the workspace's logs until Ctrl-C; on the first free port from 6006, or on `port`.

    UserError where the folder does not exist or the port is taken.
    """
    if not workspace.is_dir():
        raise storage.UserError(f"{workspace}: no such folder. Name a folder that holds trainings, such as demo.")
    os.chdir(workspace)  # The paths below are relative: TensorBoard would split this folder's name at a comma.
    if not any(map(os.path.exists, LOGS.values())):
        print(f"There are no trainings in {workspace} yet. Run step 2, 3 or 7; the page will show them.", flush=True)
    warnings.simplefilter("ignore")  # TensorBoard's own, about deprecated packages.
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # It warns when a finished trial's folder is renamed.
    if environment_variables.is_import_noisy():
        with environment_variables.quiet_import():
            import tensorflow  # noqa: F401  TensorBoard would import it later, with its notes.
    from tensorboard import program

    def serve(application: Any, flags: argparse.Namespace) -> Any:
        try:
            return program.create_port_scanning_werkzeug_server(application, flags)
        except program.TensorBoardServerException as error:
            raise storage.UserError(f"{error.msg}. Choose another port, such as --port 6007.") from error

    board = program.TensorBoard(server_class=serve)
    specification = ",".join(f"{name}:{folder}" for name, folder in LOGS.items())
    board.configure(argv=("", "--host", "localhost", "--logdir_spec", specification), port=port)
    board.main()


if __name__ == "__main__":
    main()
