/** As much of kustomize as manifests/ uses: resources, generated ConfigMaps, labels of those, images. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: object };
  readonly data?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

interface Kustomization {
  readonly namespace?: string;
  readonly resources: readonly string[];
  readonly configMapGenerator?: readonly { readonly name: string; readonly files: readonly string[] }[];
  readonly generatorOptions?: { readonly disableNameSuffixHash: boolean; readonly labels: object };
  readonly images?: readonly { readonly name: string; readonly newTag: string }[];
}

const known = ['apiVersion', 'kind', 'namespace', 'resources', 'configMapGenerator', 'generatorOptions', 'images'];

/** Throws on what it does not know. */
export function buildKustomization(folder: string): KubernetesObject[] {
  const kustomization = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as Kustomization;
  const { namespace, resources, configMapGenerator = [], generatorOptions, images = [] } = kustomization;
  const unknown = Object.keys(kustomization).filter((field) => !known.includes(field));
  if (unknown.length > 0) throw new Error(`${folder}: ${unknown.join()}`);
  const objects = resources.flatMap((resource) => {
    const path = join(folder, resource);
    if (!resource.endsWith('.yaml')) return buildKustomization(path);
    return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => document.toJS() as KubernetesObject);
  });
  for (const { name, files } of configMapGenerator) {
    const data = Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
    const labels = generatorOptions?.labels ?? {};
    const metadata = { name, labels, ...(namespace === undefined ? {} : { namespace }) };
    objects.push({ kind: 'ConfigMap', metadata, data });
  }
  let text = JSON.stringify(objects);
  for (const { name, newTag } of images)
    text = text.replaceAll(new RegExp(`"image":"${name}:[^"]*"`, 'g'), `"image":"${name}:${newTag}"`);
  return JSON.parse(text) as KubernetesObject[];
}
