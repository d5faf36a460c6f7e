import { parseKubernetesYaml } from '../../src/yaml/parse-kubernetes-yaml';

export const valuesOf = (text: string): unknown[] => {
  const { documents, mistakes } = parseKubernetesYaml(text);
  expect(mistakes).toEqual([]);
  return documents.map(({ value }) => value);
};
export const valueOf = (text: string): unknown => valuesOf(text)[0];
export const mistakesOf = (text: string): string[] =>
  parseKubernetesYaml(text).mistakes.map(({ kind, line, column, message }) => `${kind} ${line}:${column} ${message}`);
