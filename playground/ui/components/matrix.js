// A confusion matrix of buttons: rows are what an image is, columns what the net takes it for.
const matrices = new WeakMap()

function create(parent, names) {
  const root = element("div", "matrix", parent)
  root.style.gridTemplateColumns = `max-content repeat(${names.length}, minmax(26px, 1fr))`
  if (names.some((name) => name.length > 3)) root.classList.add("named")
  if (names.length > 12) root.classList.add("tight")
  element("span", "axis", root)
  const top = element("span", "axis", root, "taken for")
  top.style.gridColumn = `span ${names.length}`
  element("span", "axis", root, "is")
  for (const name of names) element("span", "head column", root, name)
  const cells = names.map((label) => {
    element("span", "head", root, label)
    return names.map(() => element("button", "", root))
  })
  return { root, cells, names: names.join() }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let matrix = matrices.get(parentElement)
  if (!matrix || matrix.names !== data.names.join()) {
    matrix?.root.remove()
    matrix = create(parentElement, data.names)
    matrices.set(parentElement, matrix)
  }
  const wrong = Math.max(1, ...data.counts.flatMap((row, label) => row.filter((_, guess) => guess !== label)))
  data.counts.forEach((row, label) => {
    const all = Math.max(1, row.reduce((sum, count) => sum + count, 0))
    row.forEach((count, guess) => {
      const button = matrix.cells[label][guess]
      const chosen = data.chosen && data.chosen[0] === label && data.chosen[1] === guess
      const right = label === guess
      button.className = [right && "right", chosen && "chosen", !count && "none"].filter(Boolean).join(" ")
      button.textContent = count || "·"
      button.disabled = !count
      const share = right ? (count / all) * 45 : count ? 18 + (count / wrong) * 62 : 0
      button.style.background = count
        ? `color-mix(in srgb, ${right ? "var(--st-primary-color)" : "#d9622b"} ${share}%, var(--st-background-color))`
        : ""
      button.ariaLabel = `${data.names[label]} taken for ${data.names[guess]}: ${count}`
      button.title = `${count} of ${all} (${((count / all) * 100).toFixed(1)} %): ${data.names[label]} taken for ${data.names[guess]}`
      button.onclick = () => setTriggerValue("clicked", [label, guess])
    })
  })
}
