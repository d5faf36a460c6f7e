/** The text exposition of Prometheus, taken apart. */
export interface Family {
  readonly name: string;
  readonly type: string;
  /** Of a histogram its label `le` is among them. */
  readonly labels: readonly string[];
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
  /** Upper bounds of a histogram's buckets, without +Inf. */
  readonly bounds: readonly number[];
}

export function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const block of text.split(/^# HELP /m).slice(1)) {
    const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/m.exec(block) ?? [];
    const values = new Map<string, Set<string>>();
    for (const [, labels = ''] of block.matchAll(/^[a-z]\w*\{(.*)\} \S+$/gm))
      for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
        values.set(label, (values.get(label) ?? new Set()).add(value));
    const bounds = [...(values.get('le') ?? [])].filter((bound) => bound !== '+Inf').map(Number);
    values.delete('le');
    families.set(name, { name, type, labels: [...values.keys()].sort(), values, bounds });
  }
  return families;
}
