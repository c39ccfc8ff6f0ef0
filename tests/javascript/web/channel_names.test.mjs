import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { nameInputChannel } from "../../../playground/web/views/channel_names.js"

describe("names of input channels", () => {
  const explanation = /** @type {Parameters<typeof nameInputChannel>[0]} */ ({
    rule: "sum",
    firstInputChannel: 4,
    inputShape: [3, 8, 8],
  })

  test("are the layer's title and the number from 1", () => {
    assert.equal(nameInputChannel(explanation, { title: "Conv", imageChannels: null }, 1), "Conv, channel 6")
  })

  test("are the colors of an image, and nothing more for a gray one", () => {
    const first = { ...explanation, firstInputChannel: 0 }
    assert.equal(nameInputChannel(first, { title: "input", imageChannels: 1 }, 0), "input")
    assert.equal(nameInputChannel(first, { title: "input", imageChannels: 3 }, 2), "input, blue")
    assert.equal(nameInputChannel(first, { title: "input", imageChannels: 4 }, 3), "input, channel 4")
  })

  test("are the layer's title for a vector", () => {
    const vector = /** @type {Parameters<typeof nameInputChannel>[0]} */ ({
      rule: "sum",
      firstInputChannel: 0,
      inputShape: [1, 1, 64],
    })
    assert.equal(nameInputChannel(vector, { title: "Linear", imageChannels: null }, 0), "Linear")
  })

  test("of pooling over an image are the color of the channel", () => {
    const pooled = /** @type {Parameters<typeof nameInputChannel>[0]} */ ({
      rule: "largest",
      firstInputChannel: 1,
      inputShape: [1, 8, 8],
    })
    assert.equal(nameInputChannel(pooled, { title: "input", imageChannels: 3 }, 0), "input, green")
  })

  test("of a residual block are its branches", () => {
    const sum = /** @type {Parameters<typeof nameInputChannel>[0]} */ ({
      rule: "add",
      firstInputChannel: 0,
      inputShape: [2, 8, 8],
    })
    assert.equal(nameInputChannel(sum, { title: "input", imageChannels: null }, 1), "shortcut")
  })
})
