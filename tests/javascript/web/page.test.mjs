import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { ModelInput } from "../../../playground/web/page/model_input.js"
import { getExample } from "../../../playground/web/page/page_data.js"
import { findLargest } from "../../../playground/web/page/selection.js"
import { listShownLayers } from "../../../playground/web/page/shown_layers.js"
import { layOutMaps } from "../../../playground/web/views/feature_maps.js"
import { findGridValue, gridPixel } from "../../../playground/web/views/map_positions.js"
import { selectClasses } from "../../../playground/web/views/prediction_text.js"

const RECEPTIVE_FIELD = { rows: [/** @type {[number, number]} */ ([0, 4])], columns: [] }
const FACTS = [
  {
    index: 0,
    title: "Conv",
    arguments: "2 · 3×3 · ReLU",
    activation: "ReLU",
    inputName: "input",
    isPassthrough: false,
  },
  { index: 2, title: "Flatten", arguments: "", activation: "", inputName: "Conv", isPassthrough: true },
  { index: 3, title: "Output", arguments: "3 · softmax", activation: "", inputName: "Flatten", isPassthrough: false },
].map((facts) => ({ ...facts, readsImage: facts.index === 0, receptiveField: RECEPTIVE_FIELD }))

/**
 * Make the layout of a layer.
 * @param {number} index
 * @param {number[]} outputShape
 * @param {number} outputOffset
 * @returns {import("../../../playground/web/engine/types.js").LayerLayout}
 */
function makeLayout(index, outputShape, outputOffset) {
  const rest = { kind: "", title: "", activation: "none", preActivationOffset: null, preActivationShape: null }
  return { ...rest, index, outputShape, outputOffset }
}

const DESCRIPTION = {
  architecture: "{}",
  inputShape: [1, 4, 4],
  classes: 3,
  layers: [makeLayout(0, [2, 2, 2], 16), makeLayout(2, [8], 16), makeLayout(3, [3], 24)],
  resultCount: 27,
  hasWebAssembly: false,
}

describe("listShownLayers", () => {
  const layers = listShownLayers(DESCRIPTION, FACTS)

  test("leaves out layers that keep the values", () => {
    assert.deepEqual(
      layers.map(({ index, name }) => [index, name]),
      [
        [0, "Conv 2"],
        [3, "Output 3"],
      ],
    )
    assert.deepEqual(
      layers.map(({ isOutput, readsImage, activation, mapShape }) => [
        isOutput,
        readsImage,
        activation,
        mapShape.join(),
      ]),
      [
        [false, true, "ReLU", "2,2"],
        [true, false, null, "1,1"],
      ],
    )
  })

  test("finds the values of a layer among the results", () => {
    const values = Float32Array.from({ length: 27 }, (_, index) => index)
    assert.deepEqual([...layers[0].getOutput(values)], [16, 17, 18, 19, 20, 21, 22, 23])
    assert.deepEqual([...layers[1].getOutput(values)], [24, 25, 26])
  })
})

describe("findLargest", () => {
  test("finds channel, row and column", () => {
    const values = Float32Array.of(0, 1, 2, 3, 4, 5, 9, 7, 8, 0, 0, 0)
    assert.deepEqual(findLargest(values, [2, 2, 3]), { channel: 1, row: 0, column: 0 })
    assert.deepEqual(findLargest(values, [12]), { channel: 6, row: 0, column: 0 })
  })
})

describe("getExample", () => {
  test("scales the bytes of one image", () => {
    const data = { exampleLabels: [4, 7], examplePixels: Uint8Array.of(0, 255, 51, 102) }
    const example = getExample(/** @type {import("../../../playground/web/page/page_data.js").PageData} */ (data), 1)
    assert.deepEqual([...example], [Math.fround(0.2), Math.fround(0.4)])
  })
})

describe("ModelInput", () => {
  const stroke = /** @type {[number, number][]} */ ([
    [100, 60],
    [140, 220],
  ])

  test("preprocesses strokes where drawings look like the images", () => {
    const image = new ModelInput([1, 28, 28], true).build([stroke], null)
    const inked = image.reduce((count, value) => count + Number(value > 0.5), 0)
    assert.equal(image.length, 784)
    assert.ok(inked > 30 && inked < 120)
  })

  test("paints strokes over an image where they do not", () => {
    const input = new ModelInput([3, 8, 8], false)
    const image = new Float32Array(192).fill(0.25)
    const drawn = [...input.build([stroke], image)]
    assert.ok(drawn.some((value) => value > 0.5))
    assert.ok(drawn.some((value) => value === 0.25))
    assert.equal(input.build([], image), image)
  })

  test("is black without strokes and image", () => {
    for (const hasStrokes of [true, false]) {
      assert.ok(new ModelInput([2, 5, 4], hasStrokes).build([], null).every((value) => value === 0))
    }
  })
})

describe("layOutMaps", () => {
  for (const shape of [[32, 26, 26], [3, 224, 200], [64], [10], [1, 5, 5], [100, 3, 3]]) {
    test(`places every value of ${shape.join("×")} where a click finds it`, () => {
      const grid = layOutMaps(shape, { maxMaps: 32, size: 120, gap: 2 })
      const [channels, height = 1, width = 1] = shape
      const shown = shape.length === 3 ? Math.min(channels, 32) : channels
      for (const channel of [0, Math.floor(shown / 2), shown - 1]) {
        const position = { row: height - 1, column: Math.floor(width / 2) }
        const pixel = gridPixel(grid, channel, position)
        assert.ok(pixel)
        const found = findGridValue(grid, pixel[0], pixel[1])
        assert.deepEqual({ ...found, index: 0 }, { channel, ...position, index: 0 })
      }
    })
  }
})

describe("selectClasses", () => {
  test("selects all classes in order, or the most probable ones", () => {
    assert.deepEqual(selectClasses([0.2, 0.5, 0.3], 3), [0, 1, 2])
    assert.deepEqual(selectClasses([0.2, 0.5, 0.3], 2), [1, 2])
  })
})
