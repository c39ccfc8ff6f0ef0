/** @import { LayerLayout, NetworkDescription } from "../engine/types.js" */
/** @import { Shape } from "../views/map_positions.js" */
/** @import { LayerFacts, Span } from "./page_data.js" */

/**
 * @typedef {object} ShownLayer A layer whose values are shown.
 * @property {number} index among all layers of the architecture
 * @property {string} name title and main arguments
 * @property {string} inputName name of the values that the arithmetic reads
 * @property {boolean} readsImage these values are the image
 * @property {string | null} activation title of the activation function
 * @property {readonly number[]} shape of the output
 * @property {Shape} mapShape height and width of a channel; (1, 1) in a vector
 * @property {{ rows: Span[], columns: Span[] }} receptiveField pixels of the image that each row and column depends on
 * @property {boolean} isOutput
 * @property {(values: Float32Array) => Float32Array} getOutput find the layer's values among the results
 */

/**
 * List the layers whose values are shown: all that change the values.
 * @param {NetworkDescription} description
 * @param {readonly LayerFacts[]} facts of all enabled layers
 * @returns {ShownLayer[]}
 */
export function listShownLayers({ layers }, facts) {
  /** @type {ShownLayer[]} */
  const shown = []
  layers.forEach((layout, position) => {
    const { title, inputName, readsImage, isPassthrough, activation, arguments: main, receptiveField } = facts[position]
    const [, height = 1, width = 1] = layout.outputShape
    if (!isPassthrough) {
      shown.push({
        index: layout.index,
        name: `${title} ${main.split(" · ")[0]}`.trim(),
        inputName,
        readsImage,
        activation: activation || null,
        shape: layout.outputShape,
        mapShape: [height, width],
        receptiveField,
        isOutput: position === layers.length - 1,
        getOutput: (values) => sliceOutput(values, layout),
      })
    }
  })
  return shown
}

/**
 * Slice the output of a layer from the results, without a copy.
 * @param {Float32Array} values
 * @param {LayerLayout} layout
 * @returns {Float32Array}
 */
function sliceOutput(values, { outputOffset, outputShape }) {
  return values.subarray(outputOffset, outputOffset + outputShape.reduce((product, side) => product * side, 1))
}
