/**
 * Build the files that are generated from the sources beside this one, and write them:
 *
 *   node playground/web/build.mjs            write
 *   node playground/web/build.mjs --check    compare with the committed files; exit status 1 if they differ
 *
 * `engine/kernels_binary.js` is engine/kernels.ts in WebAssembly; `bundled/engine.js` is index.js with all that it imports,
 * as one script that defines `cnnEngine`; `bundled/page.js` and `page.css` are those of a published page; `ui/components/bundled` has a module and a style sheet for each component of
 * the app, which Streamlit takes as one text.
 */

import { execFile } from "node:child_process"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"

const run = promisify(execFile)
const FOLDER = new URL(".", import.meta.url)
const COMPONENTS = "../ui/components"
const COMPONENT_BUNDLES = "../ui/components/bundled"
const isCheck = process.argv.includes("--check")

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
 * Bundle a module or a style sheet with its imports to one text.
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
  if (!isCheck) {
    await writeFile(locate(name), content)
    return
  }
  const committed = await readFile(locate(name), "utf8").catch(() => "")
  if (committed === content) return
  reportDifference(name, "is not that of its sources")
}

/**
 * Report a committed file that the build would change.
 * @param {string} name
 * @param {string} difference
 * @returns {void}
 */
function reportDifference(name, difference) {
  process.exitCode = 1
  const path = relative(process.cwd(), locate(name))
  process.stderr.write(`${path} ${difference}. Run "npm run build" and commit the change.\n`)
}

/**
 * Bundle the code or the style sheet of a component. Its first line keeps Streamlit from taking the text for a path.
 * @param {string} name
 * @returns {Promise<void>}
 */
async function emitComponent(name) {
  const comment = `/* Bundle of ${name} and what it imports, written by build.mjs. */`
  const options = { define: workerSource, format: /** @type {const} */ ("esm"), banner: { js: comment, css: comment } }
  await emit(`${COMPONENT_BUNDLES}/${name}`, await bundle(`${COMPONENTS}/${name}`, options))
}

/**
 * Bundle the components of the app, and remove or report the bundles of components that no longer exist.
 * @returns {Promise<void>}
 */
async function emitComponents() {
  const [sources, bundles] = await Promise.all([readdir(locate(COMPONENTS)), readdir(locate(COMPONENT_BUNDLES))])
  const names = sources.filter((name) => name.endsWith(".js") || name.endsWith(".css"))
  const stale = bundles.filter((name) => !names.includes(name)).map((name) => `${COMPONENT_BUNDLES}/${name}`)
  await Promise.all([
    ...names.map(emitComponent),
    ...stale.map((name) => (isCheck ? reportDifference(name, "has no source") : rm(locate(name)))),
  ])
}

await emit("engine/kernels_binary.js", await compileKernels())
const worker = await bundle("engine/worker.js", {})
const workerSource = { WORKER_SOURCE: JSON.stringify(worker) }
await emit("bundled/engine.js", await bundle("index.js", { define: workerSource, globalName: "cnnEngine" }))
await emit("bundled/page.js", await bundle("page/main.js", { define: workerSource }))
await emit("bundled/page.css", await bundle("page/page.css", {}))
await emitComponents()
