"""Run the notebooks of examples/ from their text sources, and keep what they print and draw beside them.

    python docs/run_notebooks.py              all of them, at full size (minutes); `make notebooks` does this
    python docs/run_notebooks.py unknown_mu   one of them

which_prior needs the folder of the llmfao votes in LLMFAO_FOLDER, and is left as it is without. What is kept
names no machine, no path and no hour.
"""

import os
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
KEPT_METADATA = {"jupytext": {"formats": "ipynb,py:percent"}, "language_info": {"name": "python"}}
NOTEBOOKS = ("em_vs_bayes", "unknown_mu", "which_prior")


def run(source: Path) -> nbformat.NotebookNode:
    """The notebook of a text source, with outputs."""
    notebook = jupytext.read(source)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=1200,
            record_timing=False,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    return tidy(notebook)


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without names of kernels and versions, and with numbered cells, so that a rerun changes little."""
    notebook.metadata = nbformat.from_dict(KEPT_METADATA)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "code":
            cell["outputs"] = joined(cell["outputs"])
    return notebook


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """What was printed in one piece, however it came, and pictures without their description in words."""
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1]["text"] += output.text
        else:
            kept.append(output)
        if "image/png" in output.get("data", {}):
            output.data.pop("text/plain", None)
    return kept


def main() -> None:
    """Write each notebook whole, beside its source."""
    wanted = sys.argv[1:] or NOTEBOOKS
    os.environ.pop("EMJAX_EXAMPLES", None)
    folder = os.environ.get("LLMFAO_FOLDER")
    if folder:
        os.environ["LLMFAO_FOLDER"] = str(Path(folder).resolve())  # a notebook runs in a folder of its own
    for name in wanted:
        if name == "which_prior" and not folder:
            print("examples/which_prior.ipynb is left as it is: LLMFAO_FOLDER names no folder of votes")
            continue
        source = EXAMPLES / f"{name}.py"
        notebook = run(source)
        part = source.with_suffix(".ipynb.part")
        nbformat.write(notebook, part)
        part.replace(source.with_suffix(".ipynb"))
        print(f"examples/{name}.ipynb, {source.with_suffix('.ipynb').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
