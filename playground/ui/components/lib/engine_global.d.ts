/** The engine bundle, which `register_component(..., needs_engine=True)` puts before the code of a component. */
declare const cnnEngine: typeof import("../../../web/index.js")
