/**
 * Run networks in the browser engine: `node run_networks.mjs FOLDER` computes `<n>.network` for the image
 * `<n>.image` (float32) and writes the results, with WebAssembly and in plain JavaScript, and what lies where.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { Network } from "../../playground/web/engine/network.js"

const [folder] = process.argv.slice(2)
const VARIANTS = { wasm: true, js: false }

/**
 * Read a file of float32 values.
 * @param {string} path
 * @returns {Float32Array}
 */
function readFloats(path) {
  return new Float32Array(new Uint8Array(readFileSync(path)).buffer)
}

for (let number = 0; existsSync(`${folder}/${number}.network`); number++) {
  for (const [name, mayUseWebAssembly] of Object.entries(VARIANTS)) {
    const network = new Network(readFileSync(`${folder}/${number}.network`), { mayUseWebAssembly })
    if (network.description.hasWebAssembly !== mayUseWebAssembly) throw new Error("WebAssembly is missing")
    const results = network.forward(readFloats(`${folder}/${number}.image`))
    writeFileSync(`${folder}/${number}.${name}.results`, new Uint8Array(results.slice().buffer))
    writeFileSync(`${folder}/${number}.json`, JSON.stringify(network.description))
  }
}
