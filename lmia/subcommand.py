"""Lightning's command line with one subcommand, fed with a config that has been checked: what audits and trainings share."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lmia.errors import LmiaError


class SubcommandCLI(LightningCLI):
    """LightningCLI whose one subcommand is a method of its trainer; `result` is what that returns.

    Args:
        word: the subcommand: the name of the trainer's method.
        tree: the config below it, with full class paths.
        model: the class of the model.
        data: the class of the data.
        trainer: the class of the trainer; it has the method, and gets the trainer's own config as `config`.
        defaults: options of the trainer that are not the user's.
        seed: that Lightning sets everything global to.
        command: what a user types behind `lmia`, where it is another word.
    """

    result: object

    def __init__(
        self,
        word: str,
        tree: dict[str, Any],
        model: type[LightningModule],
        data: type[LightningDataModule],
        trainer: type[Trainer],
        defaults: dict[str, Any],
        seed: int = 0,
        command: str | None = None,
    ) -> None:
        self.word, self.tree, self.command = word, tree, command or word
        super().__init__(
            model,
            data,
            save_config_callback=None,
            seed_everything_default=seed,
            trainer_class=trainer,
            trainer_defaults=defaults,
            parser_kwargs={"exit_on_error": False, word: {"exit_on_error": False}},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args={"subcommand": word, word: tree},
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's has no self, and asks an instance
        """There is one."""
        return {self.word: {"model", "datamodule"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the config; `sys.argv` stays what the user typed, for ranks to be started with."""
        assert isinstance(args, dict)  # as __init__ gives it
        try:
            self.config = parser.parse_object(args)
        except ArgumentError as error:  # what lmia.options cannot know, such as a callback of the trainer's
            raise LmiaError(str(error.message), f"`lmia {self.command} --help` explains every option.") from error

    def instantiate_classes(self) -> None:
        """Make the model, the data and the trainer; a mistake that a constructor finds stays one."""
        try:
            super().instantiate_classes()
        except ValueError as error:  # the parser's, over a part that may be left out, such as a role
            if isinstance(error.__cause__, LmiaError):
                raise error.__cause__ from None
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401 (Lightning's signature)
        """Make the trainer; options that it cannot be made with, the user can mend."""
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, TypeError, ValueError) as error:
            chosen = ", ".join(f"{name}={value}" for name, value in self.tree["trainer"].items())
            if not chosen:
                raise
            raise LmiaError(
                f"No trainer can be made with {chosen}: {error}", "`lmia audit --trainer.help` explains its options."
            ) from error

    def _run_subcommand(self, subcommand: str) -> None:
        trainer: Any = self.trainer
        trainer.config = self.tree["trainer"]
        self.result = getattr(trainer, subcommand)(**self._prepare_subcommand_kwargs(subcommand))
