"""Create a workspace in a Weights & Biases project that compares variants: scores over images, the mean and
spread of each group over seeds, samples of the same latents side by side, and the terms.

    pip install wandb-workspaces
    python scripts/wandb_workspace.py ENTITY/PROJECT --score fid10k_mnist
"""

import argparse

import wandb_workspaces.expr as expr
import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces

from ganlab.metrics.names import measured

TERMS = ("discriminator", "generator", "real_logit", "fake_logit", "held_out_logit")
NORMS = ("discriminator_gradient_norm", "generator_gradient_norm")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", metavar="ENTITY/PROJECT")
    parser.add_argument("--score", required=True, help="as the runs log it, for instance fid10k_mnist")
    parser.add_argument("--name", default="ganlab")
    arguments = parser.parse_args()
    entity, _, project = arguments.project.partition("/")
    if not project:
        parser.error(f"'{arguments.project}' names no project: ENTITY/PROJECT")
    known = measured(arguments.score)
    if not known or not known.value.better:
        parser.error(f"'{arguments.score}' is no score, for instance fid10k_mnist")
    best = f"{arguments.score}.{known.value.better}"
    print(workspace(entity, project, arguments.score, best, arguments.name).save().url)


def workspace(entity: str, project: str, score: str, best: str, name: str) -> workspaces.Workspace:
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(
                name="Scores", is_open=True, panels=[over_images(score, log=True), bars(best)]
            ),
            workspaces.Section(name="Samples of the same latents", is_open=True, panels=[samples()]),
            workspaces.Section(name="Terms", panels=[over_images(term) for term in (*TERMS, *NORMS)]),
        ],
        settings=workspaces.WorkspaceSettings(x_axis="images"),
        # A run's group has the name that `ganlab compare` gives it.
        runset_settings=workspaces.RunsetSettings(groupby=[expr.Metric("Group")]),
    )


def over_images(metric: str, *, log: bool = False) -> panels.LinePlot:
    return panels.LinePlot(
        title=metric,
        x="images",
        y=[metric],
        log_y=log,
        aggregate=True,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
    )


def bars(best: str) -> panels.BarPlot:
    """Each run's best score, which its summary holds."""
    return panels.BarPlot(title=best, metrics=[best], groupby_aggfunc="mean", orientation="h")


def samples() -> panels.MediaBrowser:
    return panels.MediaBrowser(media_keys=["samples"], num_columns=4)


if __name__ == "__main__":
    main()
