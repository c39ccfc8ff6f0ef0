import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import { describe, test } from "node:test"
import { mergeProgress, readProgress, writeProgress } from "../../playground/ui/components/coach.js"
import { cellStrength, largestError } from "../../playground/ui/components/confusion_matrix.js"
import { boxStyle } from "../../playground/ui/components/gallery.js"
import { isKeyOfControl } from "../../playground/ui/components/keyboard_guard.js"
import { textSize } from "../../playground/ui/components/layer_strip.js"
import { resolveServerPath, themeLayout } from "../../playground/ui/components/live_chart.js"
import { matchesSearch } from "../../playground/ui/components/preset_gallery.js"
import { createScale, findNearest, thumbnailStyle } from "../../playground/ui/components/scatter_plot.js"

/** @import { Point } from "../../playground/ui/components/scatter_plot.js" */

describe("confusion matrix", () => {
  test("the largest error is off the diagonal and at least 1", () => {
    assert.equal(
      largestError([
        [90, 4],
        [7, 80],
      ]),
      7,
    )
    assert.equal(
      largestError([
        [9, 0],
        [0, 9],
      ]),
      1,
    )
  })

  test("a correct cell is colored by its share of the row", () => {
    assert.equal(cellStrength(50, { isCorrect: true, rowTotal: 100, largest: 7 }), 22.5)
  })

  test("an error is colored relative to the largest one and never invisible", () => {
    assert.equal(cellStrength(7, { isCorrect: false, rowTotal: 100, largest: 7 }), 80)
    assert.ok(cellStrength(1, { isCorrect: false, rowTotal: 100, largest: 1000 }) > 18)
    assert.equal(cellStrength(0, { isCorrect: false, rowTotal: 100, largest: 7 }), 0)
  })
})

describe("keyboard guard", () => {
  const plain = { ctrlKey: false, metaKey: false, altKey: false }

  test("keys of a focused control do not reach the page's shortcuts", () => {
    for (const key of [" ", "s", "E", "Delete"]) {
      assert.equal(isKeyOfControl({ ...plain, key }, false), true, key)
      assert.equal(isKeyOfControl({ ...plain, key }, true), false, key)
    }
  })

  test("Escape and combinations do", () => {
    assert.equal(isKeyOfControl({ ...plain, key: "Escape" }, false), false)
    assert.equal(isKeyOfControl({ ...plain, key: "s", ctrlKey: true }, false), false)
  })
})

describe("scatter plot", () => {
  test("the scale is the same on both axes, the data centered, y upward", () => {
    const toPixel = createScale([0, 0, 4, 2], 432, 232) // 400 × 200 pixels inside the margins: 100 per unit
    assert.deepEqual(toPixel(2, 1), [216, 116])
    assert.deepEqual(toPixel(0, 0), [16, 216])
    assert.deepEqual(toPixel(4, 2), [416, 16])
    const narrow = createScale([0, 0, 4, 2], 432, 132) // 50 per unit by the height
    assert.deepEqual(narrow(4, 2), [316, 16])
  })

  test("a single point is drawn in the center", () => {
    assert.deepEqual(createScale([5, 5], 200, 100)(5, 5), [100, 50])
  })

  test("the nearest visible point within 14 pixels is found", () => {
    /** @type {Point[]} */
    const pixels = [
      [10, 10],
      [20, 10],
      [60, 60],
    ]
    const all = () => true
    assert.equal(findNearest(pixels, [16, 10], all), 1)
    assert.equal(
      findNearest(pixels, [16, 10], (index) => index !== 1),
      0,
    )
    assert.equal(findNearest(pixels, [60, 74], all), -1)
    assert.equal(findNearest(pixels, [60, 73], all), 2)
    assert.equal(findNearest([], [0, 0], all), -1)
  })

  test("a thumbnail is cut out of the sprite, enlarged by a whole number", () => {
    assert.deepEqual(thumbnailStyle(7, { tile: [28, 28], columns: 3, sprite: "x.png" }), {
      width: "56px",
      height: "56px",
      backgroundImage: "url(x.png)",
      backgroundSize: "168px auto",
      backgroundPosition: "-56px -112px",
    })
    assert.equal(thumbnailStyle(0, { tile: [200, 100], columns: 3, sprite: "x.png" }).width, "200px")
  })
})

describe("live chart", () => {
  const look = { width: 600, height: 300, isTouch: false, border: "#ccc", color: "#111", font: "Inter" }

  test("the figure's layout wins over the theme, the size of the page over the layout", () => {
    const layout = themeLayout({ dragmode: "pan", uirevision: "run-1", width: 10, font: { size: 9 } }, look)
    assert.equal(layout.dragmode, "pan")
    assert.equal(layout.uirevision, "run-1")
    assert.deepEqual(layout.font, { color: "#111", family: "Inter", size: 9 })
    assert.equal(layout.width, 600)
  })

  test("a touch screen scrolls instead of zooming, and interactions are kept by default", () => {
    assert.equal(themeLayout({}, { ...look, isTouch: true }).dragmode, false)
    assert.equal(themeLayout({}, look).dragmode, "zoom")
    assert.equal(themeLayout({}, look).uirevision, "live")
  })

  test("the library is found below the base path of Streamlit's bundle", () => {
    const bundle = "https://host/prefix/static/js/index.abc.js"
    const url = resolveServerPath("component/plotly/plotly.min.js?version=7", bundle, "https://host/other/page")
    assert.equal(url.href, "https://host/prefix/component/plotly/plotly.min.js?version=7")
    assert.equal(
      resolveServerPath("component/x.js", undefined, "https://host/page").href,
      "https://host/component/x.js",
    )
  })
})

test("a gallery box is given in percent of the image", () => {
  assert.deepEqual(boxStyle([0.25, 0, 0.75, 0.5]), { top: "25%", left: "0%", width: "50%", height: "50%" })
})

test("text of a layer shrinks with its length", () => {
  assert.equal(textSize("7"), 3.5)
  assert.equal(textSize("sneaker"), 12 / 7)
  assert.equal(textSize(""), 3.5)
})

describe("bundle", () => {
  const folder = new URL("../../playground/ui/components/bundled/", import.meta.url)
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".js"))) {
    test(`${name} exports the function that renders the component`, async () => {
      const module = await import(new URL(name, folder).href)
      assert.match(module.default.toString(), /^function \w+\(/u)
    })
  }
})

describe("preset gallery", () => {
  const card = {
    name: "normalized",
    group: "Classics",
    title: "Batch norm and dropout",
    description: "Batch norm after each convolution.",
    facts: ["99.2% on MNIST"],
    blocks: [],
  }

  test("a search finds words in any order and any part of a card", () => {
    for (const search of ["", "  ", "batch norm", "dropout CONVOLUTION", "mnist", "classics 99.2"])
      assert.ok(matchesSearch(card, search), search)
  })

  test("a search that has a word which a card lacks does not find it", () => {
    for (const search of ["residual", "batch residual", "cifar"]) assert.ok(!matchesSearch(card, search), search)
  })
})

describe("first steps", () => {
  const steps = ["draw", "train"].map((name) => ({ name, title: name, text: "", is_done: false }))

  /** @param {string | null} content */
  const storageOf = (content) => ({ getItem: () => content })

  test("progress survives storage that is empty, damaged or blocked", () => {
    const none = { done: [], isDismissed: false }
    for (const content of [null, "", "{", "[]", "7", '{"done": 3, "isDismissed": "yes"}'])
      assert.deepEqual(readProgress(storageOf(content)), none, String(content))
    const blocked = () => {
      throw new Error("blocked")
    }
    assert.deepEqual(readProgress({ getItem: blocked }), none)
    assert.doesNotThrow(() => writeProgress({ setItem: blocked }, none))
  })

  test("what was stored is read back", () => {
    let content = ""
    const setItem = (/** @type {string} */ _key, /** @type {string} */ value) => {
      content = value
    }
    writeProgress({ setItem }, { done: ["draw"], isDismissed: true })
    assert.deepEqual(readProgress(storageOf(content)), { done: ["draw"], isDismissed: true })
  })

  test("a step stays done, and the first other one is next", () => {
    assert.equal(mergeProgress(steps, []).next, 0)
    const merged = mergeProgress(steps, ["draw"])
    assert.equal(merged.next, 1)
    assert.deepEqual(
      merged.steps.map((step) => step.is_done),
      [true, false],
    )
    assert.equal(mergeProgress(steps, ["draw", "train"]).next, -1)
  })
})
