/** Reads the clusters of this repository: manifests/examples, and each step of the recorded scenarios. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { LabObject, ObjectSet } from './cluster-objects';

const examples = 'manifests/examples';
const recorded = 'test/recorded/scenarios';

interface Scenario {
  readonly name: string;
  readonly steps: readonly { readonly objects?: readonly LabObject[] }[];
}

const readAll = (folder: string): string[] =>
  readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));

/** Paths are relative to the root of the repository. */
export function readObjectSets(): ObjectSet[] {
  const objects = readAll(examples).flatMap((text) =>
    // The examples have no other kinds of objects.
    parseAllDocuments(text).map((document) => document.toJS() as LabObject),
  );
  const steps = readAll(recorded).flatMap((text) => {
    const { name, steps } = JSON.parse(text) as Scenario;
    return steps.flatMap(({ objects }, n) => (objects === undefined ? [] : [{ name: `${name}-${n + 1}`, objects }]));
  });
  return [{ name: 'examples', objects }, ...steps];
}
