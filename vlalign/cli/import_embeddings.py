"""Import embeddings made elsewhere into a feature store, as runs that every command takes.

Files are those that `vlalign score` reads, each as NAME=FILE; a data set of the Hub is named as OWNER/NAME, with the
column of embeddings. The same content is written once. Without ids, rows of several imports are pairs by their order.

  vlalign import siglip=image.npy bge=text.npy --ids ids.txt --modality vision text --store features
  vlalign import clip=clip.parquet:image --id-column sku --labels clip.parquet:category --store features
  vlalign import owner/embeddings --column layer_12 --name llama-7b --modality text --store features
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from vlalign.cli.output import Json, show_json
from vlalign.config import Folder
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from vlalign.data.embeddings import Embeddings


def run(
    *sources: Annotated[str, Parameter(metavar="NAME=FILE")],
    store: Folder = "features",
    modality: tuple[Literal["vision", "text", "audio", "other"], ...] = (),
    ids: Annotated[str | None, Parameter(metavar="FILE")] = None,
    labels: Annotated[str | None, Parameter(metavar="FILE")] = None,
    id_column: str | None = None,
    data_name: str | None = None,
    name: str | None = None,
    columns: Annotated[tuple[str, ...], Parameter(name="--column")] = (),
    config: Annotated[str | None, Parameter(metavar="NAME")] = None,
    split: str = "train",
    revision: str | None = None,
    json: Json = False,
) -> None:
    """Write one run for each source, and list them.

    Args:
        sources: files as NAME=FILE, FILE with :KEY or :COLUMN where it holds several; or a data set of the Hub
        store: folder of the feature store
        modality: of the models, one for all or one for each: vision models are scored with text models (default: other)
        ids: ids of the rows of all files, one a line or a column as FILE:COLUMN
        labels: class of each row, one a line or a column as FILE:COLUMN; by id where the file has a column of ids
        id_column: column of ids in tables (default: id, if there is one)
        data_name: name of the data, which becomes part of the runs' keys
        name: name of the model whose embeddings a data set of the Hub holds
        columns: columns of embeddings of a data set of the Hub, each a layer
        config: configuration of the data set
        split: split of the data set
        revision: revision of the data set (default: main)
    """
    from vlalign.data.embeddings import read_embeddings, read_hub_embeddings
    from vlalign.data.sample_values import read_groups, read_values
    from vlalign.report.console import console
    from vlalign.report.extraction import runs_document, runs_table
    from vlalign.store.importing import import_embeddings

    if not sources:
        raise VlalignError("name the embeddings, as NAME=FILE or OWNER/NAME of the Hub")
    if len(modality) not in (0, 1, len(sources)):
        raise VlalignError(
            f"--modality: {len(modality)} given for {len(sources)} sources: give one for all or one each"
        )
    read: list[tuple[str, Embeddings]] = []
    for source in sources:
        model, equals, file = source.partition("=")
        if equals:
            read.append((model.strip(), read_embeddings(file, id_column)))
        elif name is None or not columns:
            raise VlalignError(
                f"{source}: give a file as NAME={source}, or a data set of the Hub with --name MODEL and --column NAME"
            )
        else:
            read.append(
                (name, read_hub_embeddings(source, columns, id_column, config=config, split=split, revision=revision))
            )
    given = None if ids is None else read_values(ids, "ids")
    classes = (
        None
        if labels is None
        else read_groups(
            labels, id_column, what="labels", has_ids=given is not None or any(one.ids is not None for _, one in read)
        )
    )
    runs = []
    for i, (model, one) in enumerate(read):
        own = given or one.ids
        run = import_embeddings(
            store,
            model,
            one.features,
            ids=own,
            labels=classes,
            modality=modality[i if len(modality) > 1 else 0] if modality else "other",
            source=one.source,
            data=one.data | ({"name": data_name} if data_name else {}),
        )
        runs.append(run)
    if json:
        show_json(runs_document(runs, []))
    else:
        console().print(runs_table(runs, []))
        console().print(f"store   {store}", soft_wrap=True)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("import"))
