/** What the server can recognise with: its list of models. */

/** `[{id, languages, note}]`; throws if the list can't be read. */
export async function listModels() {
  const answer = await fetch(new URL("v1/models", document.baseURI), {
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(10000),
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const { data } = await answer.json();
  return data.map(({ id, languages, note }) => ({ id, languages: languages ?? [], note: note ?? "" }));
}
