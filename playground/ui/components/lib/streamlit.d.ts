/** Arguments that Streamlit passes to the default export of a component (st.components.v2). */
export interface ComponentArgs<Data> {
  data: Data
  parentElement: HTMLElement | ShadowRoot
  /** Set a value that persists across reruns. */
  setStateValue: (name: string, value: unknown) => void
  /** Set a value for one rerun only. */
  setTriggerValue: (name: string, value: unknown) => void
}
