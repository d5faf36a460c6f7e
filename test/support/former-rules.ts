/** Rules that versions of kube-proxy left behind that are no longer supported. vipwire never wrote such rules. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join('test', 'recorded', 'former');

export const formerRules: readonly string[] = readdirSync(folder);

export function readFormer(file: string): string {
  return readFileSync(join(folder, file), 'utf8');
}

/** Rules of the kubelet that were on the recorded node too. */
export const kubeletChain = /^:KUBE-KUBELET-CANARY .*\n/gm;
