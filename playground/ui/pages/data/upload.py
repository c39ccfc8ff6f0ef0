"""Upload of a ZIP file with a folder per class: options, preview, creation of the dataset."""

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from playground.charts.images import render_image_grid
from playground.charts.theme import get_theme
from playground.core.image_formats import HEIC_ADVICE
from playground.engine.data.custom.decode import Channels
from playground.engine.data.custom.entry_names import NAME_ENCODINGS
from playground.engine.data.custom.image_folder import read_image_folder
from playground.engine.data.custom.preview import SAMPLES_PER_CLASS, FolderPreview, preview_image_folder
from playground.errors import PlaygroundError
from playground.ui import html
from playground.ui.page_states import UploadKey, UploadResult
from playground.ui.pages.data.create_dataset import create_dataset
from playground.ui.state import get_app_state

_MAX_UPLOAD_MB = 400
_IMAGE_SIZES = (28, 32, 48, 64, 96, 128)
_SAMPLE_SIZE = 48
_MAX_SHOWN_NAME_LENGTH = 20


def render_upload_panel() -> None:
    """Render the upload, and for a file its preview, from which the dataset is created."""
    with st.expander("Upload images", key="bring", on_change="rerun") as expander:
        if not expander.open:
            return
        html.render_hint(
            "A ZIP with one folder per class: cat/1.jpg, dog/1.jpg … PNG, JPEG, GIF, BMP, WebP or TIFF. "
            f"{HEIC_ADVICE} Folders named train and test define the split; otherwise one sixth is used for testing."
        )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            size = st.selectbox("Image size (px)", _IMAGE_SIZES, index=3, key="bring-size", width=140)
            is_color = st.toggle("Color", value=True, key="bring-colour")
        file = st.file_uploader("ZIP file", type=["zip"], key="bring-file", max_upload_size=_MAX_UPLOAD_MB)
        if file is not None:
            _render_file(file, size, is_color)
        else:
            get_app_state().data.upload_preview = None
        _render_upload_result()


def _render_file(file: UploadedFile, size: int, is_color: bool) -> None:
    """Render the preview and the button that creates the dataset; neither for a file that has become one."""
    data = get_app_state().data
    encoding_key = f"bring-encoding-{file.file_id}"
    key = (file.file_id, size, is_color, st.session_state.get(encoding_key))
    if data.created_upload == key:
        return
    if data.upload_preview is None or data.upload_preview[0] != key:
        with st.spinner("Reading the ZIP file …"):
            data.upload_preview, data.upload_result = (key, _preview_file(file, key)), None
    preview = data.upload_preview[1]
    if isinstance(preview, PlaygroundError):
        html.render_error(preview)
        return
    if preview.name_encoding is not None:
        st.selectbox(
            "Encoding of names",
            list(NAME_ENCODINGS),
            index=list(NAME_ENCODINGS).index(preview.name_encoding),
            format_func=lambda encoding: NAME_ENCODINGS[encoding],
            key=encoding_key,
            help="The ZIP file does not state how its names are encoded. Choose another encoding if names look wrong.",
        )
    _render_preview(preview)
    if st.button("Create dataset", key="bring-start", type="primary"):
        _create_dataset(file, key, preview.name_encoding)


def _preview_file(file: UploadedFile, key: UploadKey) -> FolderPreview | PlaygroundError:
    _, size, is_color, name_encoding = key
    try:
        return preview_image_folder(
            file, height=size, width=size, channels=_count_channels(is_color), name_encoding=name_encoding
        )
    except PlaygroundError as error:
        return error


def _render_preview(preview: FolderPreview) -> None:
    """Render the classes with their numbers of images and samples, and the remarks."""
    train, test = sum(preview.train_counts), sum(preview.test_counts)
    html.render_hint(
        f"{len(preview.class_names):,} classes · {train:,} training images"
        + (f" · {test:,} test images" if test else "")
    )
    theme = get_theme(st.context.theme.type)
    rows = []
    for name, count, samples in zip(preview.class_names, preview.train_counts, preview.samples, strict=False):
        if samples:
            padding = ((0, SAMPLES_PER_CLASS - len(samples)), (0, 0), (0, 0), (0, 0))
            images = np.pad(np.stack(samples), padding, constant_values=255).astype(np.float32) / np.float32(255)
            grid = render_image_grid(
                images, columns=SAMPLES_PER_CLASS, tile_size=_SAMPLE_SIZE, gap=2, gap_color=theme.gap_color
            )
            is_long = len(name) > _MAX_SHOWN_NAME_LENGTH
            shown = f"{name[: _MAX_SHOWN_NAME_LENGTH - 1]}…" if is_long else name
            rows.append((f"{shown}, {count:,}", grid.png, f"{name}: first images"))
    html.render_image_table(rows)
    if len(preview.class_names) > len(preview.samples):
        html.render_hint(f"{len(preview.class_names) - len(preview.samples):,} more classes.")
    for remark in preview.remarks:
        html.render_hint(remark)
    for warning in preview.warnings:
        html.render_message(warning, severity="warn")


def _create_dataset(file: UploadedFile, key: UploadKey, name_encoding: str | None) -> None:
    _, size, is_color, _ = key
    title = file.name.removesuffix(".zip")
    result = create_dataset(
        title,
        lambda on_progress: read_image_folder(
            file,
            height=size,
            width=size,
            channels=_count_channels(is_color),
            name_encoding=name_encoding,
            on_progress=on_progress,
        ),
    )
    data = get_app_state().data
    if isinstance(result, PlaygroundError):
        data.upload_result = result
    else:
        data.upload_result = UploadResult(title, result.warnings, result.skipped, result.skipped_count)
        data.created_upload, data.upload_preview = key, None
    st.rerun()


def _count_channels(is_color: bool) -> Channels:
    return 3 if is_color else 1


def _render_upload_result() -> None:
    result = get_app_state().data.upload_result
    if isinstance(result, PlaygroundError):
        html.render_error(result)
    elif result is not None:
        skipped = f" Skipped files: {result.skipped_count:,}." if result.skipped_count else ""
        html.render_message(f'"{result.title}" is ready.{skipped}')
        for warning in result.warnings:
            html.render_message(warning, severity="warn")
        html.render_key_value_table([(one.name, one.reason) for one in result.skipped])
