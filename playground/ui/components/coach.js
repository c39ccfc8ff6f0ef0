import { addButton, addElement, joinClasses } from "../../web/views/dom.js"

/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** @typedef {{ name: string, title: string, text: string, is_done: boolean }} CoachStep */

/** @typedef {{ done: string[], isDismissed: boolean }} CoachProgress */

const STORAGE_KEY = "cnn-playground-first-steps"

/**
 * Read the progress that the browser has stored; storage may be blocked, or hold anything.
 * @param {Pick<Storage, "getItem">} storage
 * @returns {CoachProgress}
 */
export function readProgress(storage) {
  try {
    const stored = JSON.parse(storage.getItem(STORAGE_KEY) ?? "{}")
    const done = Array.isArray(stored.done)
      ? stored.done.filter((/** @type {unknown} */ name) => typeof name === "string")
      : []
    return { done, isDismissed: stored.isDismissed === true }
  } catch {
    return { done: [], isDismissed: false }
  }
}

/**
 * Store the progress; without storage the steps are shown again in the next visit.
 * @param {Pick<Storage, "setItem">} storage
 * @param {CoachProgress} progress
 * @returns {void}
 */
export function writeProgress(storage, progress) {
  try {
    storage.setItem(STORAGE_KEY, JSON.stringify(progress))
  } catch {
    // Storage is blocked or full.
  }
}

/**
 * The steps with those done before, and the index of the first one to do; -1 if all are done.
 * @param {CoachStep[]} steps
 * @param {string[]} doneBefore
 * @returns {{ steps: CoachStep[], next: number }}
 */
export function mergeProgress(steps, doneBefore) {
  const merged = steps.map((step) => ({ ...step, is_done: step.is_done || doneBefore.includes(step.name) }))
  return { steps: merged, next: merged.findIndex((step) => !step.is_done) }
}

/**
 * Show the first steps in a row, the next one emphasized, until they are dismissed.
 * @param {ComponentArgs<{ steps: CoachStep[] }>} args
 * @returns {void}
 */
export default function renderCoach({ data, parentElement }) {
  const progress = readProgress(localStorage)
  const { steps, next } = mergeProgress(data.steps, progress.done)
  const done = steps.filter((step) => step.is_done).map((step) => step.name)
  if (done.length > progress.done.length) writeProgress(localStorage, { ...progress, done })
  parentElement.querySelector(".coach")?.remove()
  if (progress.isDismissed) return
  const root = addElement(parentElement, "section", "coach")
  root.ariaLabel = "First steps"
  const list = addElement(root, "ol")
  for (const [index, step] of steps.entries()) {
    const item = addElement(list, "li", joinClasses(step.is_done && "done", index === next && "next"))
    if (index === next) item.ariaCurrent = "step"
    const mark = addElement(item, "span", "mark", step.is_done ? "✓" : String(index + 1))
    mark.ariaHidden = "true"
    const text = addElement(item, "span")
    addElement(text, "strong", "", step.title)
    if (step.is_done) addElement(text, "span", "sr", " (done)")
    addElement(text, "span", "text", step.text)
  }
  const button = addButton(root, "dismiss", next < 0 ? "Done" : "Hide")
  button.title = "Hide the first steps. The browser remembers it."
  button.onclick = () => {
    writeProgress(localStorage, { done, isDismissed: true })
    root.remove()
  }
}
