import type { Difference, Finding, KnownDifference } from './difference';
import type { Source } from './sources';

/** The differences of one frontend. Those that are equal for several sources become one. */
export class Findings {
  readonly #byText = new Map<string, Difference>();
  readonly #where: Pick<Difference, 'service' | 'frontend'>;
  readonly #tried: readonly Source[];
  readonly #rules: Difference['rules'];

  constructor(where: Pick<Difference, 'service' | 'frontend'>, tried: readonly Source[], rules: Difference['rules']) {
    this.#where = where;
    this.#tried = tried;
    this.#rules = rules;
  }

  add(finding: Finding, source?: Source, known?: KnownDifference, rules = this.#rules): void {
    const { aspect, change, expected, observed } = finding;
    const key = [aspect, change, expected, observed, known?.why ?? ''].join('|');
    const before = this.#byText.get(key);
    const sources = [...(before?.sources ?? []), ...(source === undefined ? [] : [source])];
    const difference = before ?? { ...this.#where, ...finding, tried: this.#tried, rules, ...(known && { known }) };
    this.#byText.set(key, { ...difference, sources });
  }

  differences(): Difference[] {
    return [...this.#byText.values()];
  }
}
