/** Error of the browser engine; says what happened, what was expected and how to fix it. */
export class EngineError extends Error {
  /**
   * @param {string} what
   * @param {{ expected?: string, fix?: string, cause?: unknown }} [details]
   */
  constructor(what, { expected = "", fix = "", cause } = {}) {
    super([what, expected && `Expected: ${expected}`, fix].filter(Boolean).join(" "), { cause })
    this.name = "EngineError"
  }
}
