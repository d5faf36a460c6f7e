/** `curl -X PUT -d 4 .../debug/flags/v`: another -v while it runs, as kube-proxy has it. */
import type { RequestListener } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AdjustableLogger } from '../telemetry/logger';
import { sendText } from './send';

export function answerVerbosity(log: AdjustableLogger): RequestListener {
  return (request, response) => {
    if (request.method !== 'PUT') {
      sendText(response, 405, 'PUT a number\n', { Allow: 'PUT' });
      return;
    }
    text(request).then(
      (body) => {
        if (!/^\d{1,3}$/.test(body.trim())) {
          sendText(response, 400, 'not a verbosity: PUT a number\n');
          return;
        }
        const verbosity = Number(body);
        log.adjust({ verbosity });
        log.info({ v: verbosity }, 'the verbosity of the log is another');
        sendText(response, 200, `successfully set the verbosity to ${verbosity}`);
      },
      () => response.destroy(),
    );
  };
}
