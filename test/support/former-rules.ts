/** What versions of kube-proxy that are no longer supported left behind, and vipwire never wrote. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join('test', 'recorded', 'former');

export const formerRules: readonly string[] = readdirSync(folder);

export function readFormer(file: string): string {
  return readFileSync(join(folder, file), 'utf8');
}

/** The kubelet's, which the recorded node had beside it. */
export const kubeletChain = /^:KUBE-KUBELET-CANARY .*\n/gm;
