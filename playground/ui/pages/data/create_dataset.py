"""Creation of a custom dataset with a progress bar."""

from collections.abc import Callable

from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.progress import Progress
from playground.errors import PlaygroundError
from playground.ui.progress import show_stop_button
from playground.ui.services import get_visitor_id
from playground.ui.state import get_app_state


def create_dataset(
    name: str, read_images: Callable[[Callable[[Progress], object]], CustomImages], *, is_drawn: bool = False
) -> CustomImages | PlaygroundError:
    """Read images and save them as a dataset, which the page then shows; returns the error if they are invalid."""
    try:
        with show_stop_button("bring-stop") as container:
            images = read_images(
                lambda progress: container.progress(
                    progress.fraction, f"{progress.completed:,} of {progress.total:,} images"
                )
            )
            get_app_state().data.dataset_name = save_custom_dataset(
                name, images, is_drawn=is_drawn, owner=get_visitor_id()
            )
    except PlaygroundError as error:
        return error
    return images
