/** @import { ChannelSource, PlanContext } from "../types.js" */

/** A window of one value, and no parameters: what most operations begin with. */
const SINGLE_VALUE = {
  kernelSize: /** @type {[number, number]} */ ([1, 1]),
  stride: 1,
  padding: /** @type {[number, number]} */ ([0, 0]),
  dilation: 1,
  weights: null,
  bias: null,
  statistics: {},
}

/**
 * Describe the source of an output channel that depends on one input channel, value by value unless `facts` say more.
 * @param {ChannelSource["rule"]} rule
 * @param {Pick<PlanContext, "input" | "inputShape">} place of the whole input
 * @param {number} channel
 * @param {Partial<ChannelSource>} [facts]
 * @returns {ChannelSource}
 */
export function describeOneChannel(rule, { input, inputShape }, channel, facts = {}) {
  const [, height = 1, width = 1] = inputShape
  return {
    ...SINGLE_VALUE,
    rule,
    inputOffsets: [input.offset + channel * height * width],
    inputShape: [1, height, width],
    firstInputChannel: channel,
    ...facts,
  }
}

/**
 * Describe the source of an output channel that depends on several input channels.
 * @param {Partial<ChannelSource> & Pick<ChannelSource, "inputOffsets" | "inputShape">} facts
 * @returns {ChannelSource}
 */
export function describeChannels(facts) {
  return { ...SINGLE_VALUE, rule: "sum", firstInputChannel: 0, ...facts }
}

/**
 * List where maps begin that lie one after the other.
 * @param {number} start
 * @param {number} count
 * @param {number} size
 * @returns {number[]}
 */
export function listOffsets(start, count, size) {
  return Array.from({ length: count }, (_, index) => start + index * size)
}
