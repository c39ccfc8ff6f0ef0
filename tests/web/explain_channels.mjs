/**
 * Explain channels: `node explain_channels.mjs FOLDER` reads `<n>.network`, `<n>.image` and `channels.json`, a list of
 * [n, layer index, channel], and writes `explanations.json` with the arithmetic of every position.
 */

import { readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { Network } from "../../playground/web/engine/network.js"
import { computeContributions, computeTotal } from "../../playground/web/views/arithmetic.js"

const [folder] = process.argv.slice(2)
/** @type {[number: number, layerIndex: number, channel: number, height: number, width: number][]} */
const channels = JSON.parse(readFileSync(`${folder}/channels.json`, "utf8"))
/** @type {Map<number, Network>} */
const networks = new Map()

/**
 * Load a network and compute its image.
 * @param {number} number
 * @returns {Network}
 */
function computeNetwork(number) {
  const network = new Network(readFileSync(`${folder}/${number}.network`))
  network.forward(new Float32Array(new Uint8Array(readFileSync(`${folder}/${number}.image`)).buffer))
  return network
}

const explanations = channels.map(([number, layerIndex, channel, height, width]) => {
  const network = networks.get(number) ?? computeNetwork(number)
  networks.set(number, network)
  const explanation = network.explainChannel(layerIndex, channel)
  const totals = Array.from({ length: height * width }, (_, index) => {
    const position = { row: Math.floor(index / width), column: index % width }
    return computeTotal(explanation, computeContributions(explanation, position))
  })
  const { weights, input, ...facts } = explanation
  return { ...facts, input: [...input], weights: weights && [...weights], totals }
})
writeFileSync(`${folder}/explanations.json`, JSON.stringify(explanations))
