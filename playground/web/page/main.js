import { startEngine } from "../index.js"
import { findElement } from "./elements.js"
import { NetworkPage } from "./network_page.js"
import { readNetwork, readPageData } from "./page_data.js"

/**
 * Show a message in place of the network.
 * @param {string} message
 * @returns {void}
 */
function showProblem(message) {
  const notice = findElement("notice")
  notice.hidden = false
  notice.textContent = message
}

/** Load the network of the page and show it. */
function startPage() {
  const data = readPageData()
  /** @type {NetworkPage | null} */
  let page = null
  const client = startEngine({
    onLoad: (description) => {
      page = new NetworkPage(data, description, client)
    },
    onResult: (result) => page?.receiveResult(result),
    onExplanation: (reply) => page?.receiveExplanation(reply),
    onError: (message) => showProblem(`The network cannot be computed: ${message}`),
  })
  client.load(readNetwork())
}

try {
  startPage()
} catch (error) {
  showProblem(error instanceof Error ? error.message : String(error))
}
