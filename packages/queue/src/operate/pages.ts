/** One page of a result that is read in several calls. */
interface Page {
  /** The cursor of the next page; undefined on the last page. */
  readonly next?: string;
}

/**
 * Yields all pages up to the last one.
 *
 * @param read reads the page at a cursor; the first page has none.
 */
export async function* pages<P extends Page>(
  read: (at: { readonly cursor?: string }) => Promise<P>,
): AsyncGenerator<P, void, undefined> {
  let page = await read({});
  yield page;
  while (page.next !== undefined) {
    page = await read({ cursor: page.next });
    yield page;
  }
}
