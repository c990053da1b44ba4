// What a page is, for main.js and the pages. Types only, and the table of a view's parts.

/** @typedef {import("./range.js").Span} Span */
/** @typedef {import("./router.js").Params} Params */
/**
 * What a page gets at each refresh.
 * @typedef {object} View
 * @property {Span} span
 * @property {Params} params of the address
 * @property {AbortSignal} signal aborted when another refresh begins
 * @property {boolean} automatic the clock asked for it, not a person
 */
/**
 * What a page can ask the frame for.
 * @typedef {object} Frame
 * @property {(changes: Record<string, string | undefined>) => void} set changes parameters; undefined removes
 * @property {(page: string, params: Record<string, string>) => void} go another page, in the same time range
 * @property {(from: number, to: number) => void} zoom fixes the time range
 * @property {() => void} refresh
 * @property {(frozen: boolean) => void} freeze stops automatic refreshes until it is called with false
 */
/**
 * @typedef {object} Page
 * @property {HTMLElement} element
 * @property {(view: View) => Promise<number | null>} refresh gives the time of the newest data in seconds, where known
 * @property {() => void} close
 */
/** @typedef {(frame: Frame) => Page} PageFactory */

export {};
