/**
 * Build the files that are generated from the sources beside this one, and write them:
 *
 *   node playground/web/build.mjs            write
 *   node playground/web/build.mjs --check    compare with the committed files; exit status 1 if they differ
 *
 * `engine/kernels_binary.js` is engine/kernels.ts in WebAssembly; `bundled/engine.js` is index.js with all that it imports,
 * as one script that defines `cnnEngine`.
 */

import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"

const run = promisify(execFile)
const FOLDER = new URL(".", import.meta.url)

/**
 * Find a file of this folder.
 * @param {string} name
 * @returns {string}
 */
function locate(name) {
  return fileURLToPath(new URL(name, FOLDER))
}

/**
 * Compile the kernels to WebAssembly, as a module that exports them in base64.
 * @returns {Promise<string>}
 */
async function compileKernels() {
  const folder = await mkdtemp(join(tmpdir(), "kernels-"))
  const binary = join(folder, "kernels.wasm")
  const options = ["--importMemory", "--runtime", "stub", "--enable", "simd", "-O3", "--converge", "--noAssert"]
  try {
    await run(process.execPath, [
      fileURLToPath(import.meta.resolve("assemblyscript/bin/asc.js")),
      locate("engine/kernels.ts"),
      ...["--outFile", binary, ...options],
    ])
    const text = (await readFile(binary)).toString("base64")
    return `/** WebAssembly of kernels.ts in base64, written by build.mjs. */\nexport const KERNELS_BINARY =\n  "${text}"\n`
  } finally {
    await rm(folder, { recursive: true })
  }
}

/**
 * Bundle a module with its imports to one script.
 * @param {string} entry
 * @param {Partial<import("esbuild").BuildOptions>} options
 * @returns {Promise<string>}
 */
async function bundle(entry, options) {
  const { outputFiles = [] } = await build({
    entryPoints: [locate(entry)],
    bundle: true,
    format: "iife",
    minify: true,
    target: "es2022",
    write: false,
    ...options,
  })
  return outputFiles[0].text
}

/**
 * Write a generated file, or compare it.
 * @param {string} name
 * @param {string} content
 * @returns {Promise<void>}
 */
async function emit(name, content) {
  if (!process.argv.includes("--check")) {
    await writeFile(locate(name), content)
    return
  }
  const committed = await readFile(locate(name), "utf8").catch(() => "")
  if (committed === content) return
  process.exitCode = 1
  process.stderr.write(`playground/web/${name} is not that of its sources. Run "npm run build" and commit it.\n`)
}

await emit("engine/kernels_binary.js", await compileKernels())
const worker = await bundle("engine/worker.js", {})
const define = { WORKER_SOURCE: JSON.stringify(worker) }
await emit("bundled/engine.js", await bundle("index.js", { define, globalName: "cnnEngine" }))
