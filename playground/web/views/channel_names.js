/** @import { ChannelExplanation } from "../engine/types.js" */

/**
 * @typedef {object} InputSource Where the inputs of a channel come from.
 * @property {string} title of the layer that gives them, or of the image
 * @property {number | null} imageChannels channels of the image if the inputs are the image; null for other inputs
 */

const COLORS = ["red", "green", "blue"]
const BRANCHES = ["main branch", "shortcut"]

/**
 * Name an input channel.
 * @param {Pick<ChannelExplanation, "rule" | "firstInputChannel" | "inputShape">} explanation
 * @param {InputSource} source
 * @param {number} index among the channel's inputs
 * @returns {string}
 */
export function nameInputChannel({ rule, firstInputChannel, inputShape }, { title, imageChannels }, index) {
  if (rule === "add") return BRANCHES[index]
  const isVector = rule === "sum" && inputShape[0] === 1 && inputShape[1] === 1
  if (isVector || imageChannels === 1) return title
  const channel = firstInputChannel + index
  return `${title}, ${imageChannels === COLORS.length ? COLORS[channel] : `channel ${channel + 1}`}`
}
