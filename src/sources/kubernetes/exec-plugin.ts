/** Gets credentials from a program that the kubeconfig names, run as client-go runs it. */
import { CommandError, runCommand } from '../../host/command';
import { type Fields, fieldsOf } from './decode-fields';

export interface ExecCredential {
  readonly token?: string;
  /** PEM. */
  readonly cert?: string;
  readonly key?: string;
}

const limitMs = 60_000;

/**
 * Runs the program with the environment of this process, extended by the `env` list of the kubeconfig and KUBERNETES_EXEC_INFO. When it
 * fails, rejects with the first line of its error output. Also rejects when it returns no credential.
 *
 * @param info the value of KUBERNETES_EXEC_INFO, without which plugins refuse to answer (KEP-541).
 */
export async function askExecPlugin(exec: Fields, info: string): Promise<ExecCredential> {
  const command = typeof exec.command === 'string' ? exec.command : '';
  if (command === '') throw new Error('the kubeconfig names no command');
  const args = Array.isArray(exec.args) ? exec.args.map(String) : [];
  const environment = { ...process.env, ...environmentOf(exec.env), KUBERNETES_EXEC_INFO: info };
  let answer: unknown;
  try {
    answer = JSON.parse((await runCommand(command, args, { environment, timeoutMs: limitMs })).stdout);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Error('its output is not JSON', { cause: error });
    throw error instanceof CommandError ? explain(error, exec) : error;
  }
  const { token, clientCertificateData: cert, clientKeyData: key } = fieldsOf(fieldsOf(answer).status);
  const credential = {
    ...(typeof token === 'string' && token !== '' ? { token } : {}),
    ...(typeof cert === 'string' && typeof key === 'string' ? { cert, key } : {}),
  };
  if (Object.keys(credential).length === 0) throw new Error('its output has neither a token nor a certificate');
  return credential;
}

function environmentOf(list: unknown): Record<string, string> {
  const entries = Array.isArray(list) ? list.map(fieldsOf) : [];
  return Object.fromEntries(
    entries.flatMap(({ name, value }) =>
      typeof name === 'string' ? [[name, typeof value === 'string' ? value : '']] : [],
    ),
  );
}

/** Uses the program's own words when there are any. */
function explain(error: CommandError, { installHint }: Fields): Error {
  if (error.notFound && typeof installHint === 'string')
    return new Error(`not found: ${installHint.trim().split('\n', 1)[0] ?? ''}`, { cause: error });
  const said = error.limitMs === undefined && error.exitCode !== undefined ? error.stderr.trim() : '';
  return new Error(said === '' ? error.message : (said.split('\n', 1)[0] ?? ''), { cause: error });
}
