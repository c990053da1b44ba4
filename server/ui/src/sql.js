// The only way to a SQL text. In: a template and values. Out: ClickHouse SQL with every value
// quoted by its type. Never: a value as SQL; only `Sql` fragments are spliced in as they are.

/** A piece of SQL that is known to be safe: made by `sql`, `column` or `join` only. */
export class Sql {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }
}

/**
 * Composes SQL: texts are quoted, numbers checked, lists become comma separated values.
 * @param {TemplateStringsArray} parts
 * @param {...(Sql | string | number | (string | number)[])} values
 * @returns {Sql}
 */
export function sql(parts, ...values) {
  let out = parts[0];
  values.forEach((value, index) => {
    out += literal(value) + parts[index + 1];
  });
  return new Sql(out);
}

/**
 * A text as a ClickHouse string literal.
 * @param {string} text
 */
export function quote(text) {
  return `'${text.replace(/[\\'\0\x08\f\n\r\t]/g, (char) => ESCAPES[char])}'`;
}

/**
 * A column or table by name, in backticks; the names are those of the schema.
 * @param {string} name
 * @returns {Sql}
 */
export function column(name) {
  if (!/^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)?$/.test(name)) throw new Error(`not a column name: ${name}`);
  return new Sql(`\`${name}\``);
}

/**
 * Fragments with a separator between them.
 * @param {Sql[]} fragments
 * @param {Sql} separator
 * @returns {Sql}
 */
export function join(fragments, separator) {
  return new Sql(fragments.map((fragment) => fragment.text).join(separator.text));
}

/**
 * Conditions that must all hold; none means "always".
 * @param {Sql[]} conditions
 * @returns {Sql}
 */
export function all(conditions) {
  return conditions.length === 0 ? sql`1` : join(conditions.map((condition) => sql`(${condition})`), sql` AND `);
}

/** @type {Record<string, string>} */
const ESCAPES = {
  "\\": "\\\\", "'": "\\'", "\0": "\\0", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
};

/**
 * @param {Sql | string | number | (string | number)[]} value
 * @returns {string}
 */
function literal(value) {
  if (value instanceof Sql) return value.text;
  if (Array.isArray(value)) {
    if (value.length === 0) throw new Error("an empty list has no SQL form");
    return value.map(literal).join(", ");
  }
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  throw new Error(`no SQL form for ${typeof value}`);
}
