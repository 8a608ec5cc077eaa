"""What stages write into their reports, as messages with places for what differs: see `serve.desk.prose`."""

from collections.abc import Sequence

from fedelta.serve.desk.words import N_

SENTENCES: Sequence[str] = (
    # Cards of personas: what sets them apart, what they do, praise and complain about.
    N_("nothing: like everybody"),
    N_("%(trait)s %(own)s, of all %(base)s (%(effect)s standard deviations)"),
    N_("in a year: %(each_done)s"),
    N_("buys every %(days)s days (median of who came back)"),
    N_("through %(each_channel)s"),
    N_("%(what)s: %(own)s per 100 customers, of all %(base)s"),
    # What the monitor says of the newest month.
    N_("The features have moved by %(value)s since %(day)s (PSI, weighed by importance; most: %(most)s)%(verdict)s"),
    N_("The scores have moved by %(value)s since %(day)s (PSI)%(verdict)s"),
    N_("%(name)s has moved since last month %(value)s times as far as in any month before%(verdict)s"),
    N_("Of the data, %(name)s went from %(before)s to %(now)s against %(when)s, %(value)s standard errors from its "
       "usual change%(verdict)s"),
    N_("No kind or channel is new."),
    N_("Never met before this month: %(names)s."),
    N_("No kind or channel stopped coming in, and each customer is written in one way."),
    N_("What happened is what the probabilities implied, within chance."),
    N_("What happened is not what the probabilities implied: %(each_figure)s."),
    N_("What happened is close to what the probabilities implied, or better: %(each_figure)s."),
    # Fairness.
    N_("%(who)s: more churn was predicted than came (%(predicted)s against %(observed)s, difference %(gap)s)."),
    N_("%(who)s: less churn was predicted than came (%(predicted)s against %(observed)s, difference %(gap)s)."),
    N_("%(who)s: contacted less than others of equal risk (%(share)s of them, %(ratio)s of the others' share, "
       "difference %(gap)s)."),
    # What the intake warns of: dates and what is missing between them.
    N_(
        "%(what)s dated later than %(last)s (from %(first)s to %(end)s), when nothing else had happened for "
        "%(days)s days. They are kept, but the data are taken to end before: `score_at: latest` is %(at)s. "
        "Correct the dates, or name a date in cutoffs.score_at if they are right."
    ),
    N_(
        "%(what)s dated earlier than %(first)s (from %(begin)s to %(end)s), after which nothing happened for "
        "%(days)s days. They are kept, and make their customers look that old. Correct the dates, or make them "
        "null if they stand for none."
    ),
    N_(
        "Interactions of %(name)s stopped on %(last)s (but for %(number)s dated later), %(days)s days before the "
        "data end on %(end)s: about %(missing)s would have come since at the usual rate. Is its export late or "
        "broken? Scores made now take it for silence of the customers."
    ),
    N_(
        "Interactions of %(name)s stopped on %(last)s, %(days)s days before the data end on %(end)s: about "
        "%(missing)s would have come since at the usual rate. Is its export late or broken? Scores made now take "
        "it for silence of the customers."
    ),
    N_(
        "No interaction is dated from %(first)s to %(end)s (%(days)s days), though many are before and after: "
        "about %(missing)s would have come at the usual rate. Is a file missing, or are dates wrong? Whoever was "
        "active then looks silent, in features and in outcomes."
    ),
    N_(
        "No interaction of %(name)s is dated from %(first)s to %(end)s (%(days)s days), though many are before "
        "and after: about %(missing)s would have come at the usual rate. Is a file missing, or are dates wrong? "
        "Whoever was active then looks silent, in features and in outcomes."
    ),
    N_(
        "%(number)s interactions have a known_at more than a year before they happened, and count as known at "
        "once: is it another column, or a date that stands for none?"
    ),
    N_(
        "%(number)s of %(all)s labels have an as_of after the data end on %(end)s: nothing is known of the days "
        "between, so these customers look silent. Bring the interactions, or leave these labels out."
    ),
    N_(
        "%(number)s customers signed up on a day that cannot be right or stands for none (such as %(day)s), and "
        "count as customers since then. Yield null where the date is not known."
    ),
    N_(
        "%(number)s of %(all)s customers have interactions before they signed up: is signed_up_at when their "
        "record was last written?"
    ),
    N_(
        "%(number)s of %(all)s customers signed up after %(day)s, the day that the table describes: their tenure "
        "is negative. Correct as_of in source.yaml, or the dates."
    ),
    N_(
        "%(number)s customers have a %(column)s that cannot be right or stands for no date (such as %(day)s): "
        "what is known from it counts as known from the beginning, also where it changed later. Yield null for "
        "the attribute where nobody knows since when it holds."
    ),
    N_(
        "%(number)s of %(all)s customers have a %(column)s after the data end on %(end)s (%(far)s of them more "
        "than ten years): what is known from it is not seen before. Is it when their record was last written, or "
        "when something ends?"
    ),
    N_(
        "%(number)s of %(all)s customers have a %(column)s after the data end on %(end)s: what is known from it "
        "is not seen before. Is it when their record was last written, or when something ends?"
    ),
    N_(
        "%(number)s times have a day where the month should be (2024-31-01) and were quarantined. Others of the "
        "same file, whose day is at most 12, were read with day and month exchanged: parse all of them in the "
        "SQL, as with try_strptime(x, '%%Y-%%d-%%m')."
    ),
    N_("%(number)s of %(all)s interactions became known later than they happened, by %(days)s days on average%(rest)s"),
    N_(
        "%(number)s of %(all)s purchases equal another in customer, time, amount, channel and topic, but not in "
        "id: was a file loaded twice under new ids?"
    ),
    # Who customers are, and how ids are written.
    N_(
        "%(share)s of the interactions (%(number)s) are of one customer, %(customer)s; others have %(mean)s on "
        "average. If it is a till, a guest or a test account, give its rows a reason in out_of_scope."
    ),
    N_(
        "%(number)s interactions are of the customer %(customer)s, which looks like none at all. If so, write "
        "nullif(customer_id, %(name)s) in the SQL: the rows are then quarantined."
    ),
    N_(
        "%(number)s customer ids are written like 1.23E+11: a spreadsheet has cut their digits, and different "
        "customers may have become one. Export the ids as text."
    ),
    N_("%(number)s of %(all)s customer ids look like dates: is customer_id another column?"),
    N_(
        "None of the %(number)s customers of customers.sql has an interaction, and none of the %(all)s customers "
        "with interactions is among them: the two write customer_id in different ways."
    ),
    N_("%(number)s of %(all)s customers of customers.sql have no interaction: they get no score."),
    N_(
        "Of the customers with interactions of kind %(names)s, hardly any has one of another kind: are their ids "
        "those of another system? Such customers count as others, and what they went through tells nothing of "
        "those who buy. Translate the ids in the SQL, by a JOIN with a table that knows both."
    ),
    N_(
        "%(number)s customers are written in more than one way, and so count as %(all)s%(apart)s: %(examples)s. "
        "They differ by %(each_layer)s. If they are the same, write them in one way in the SQL: %(sql)s AS "
        "customer_id."
    ),
    N_(
        "%(number)s values of opted_out are neither yes nor no (%(values)s): these customers count as opted out. "
        "Translate the values with CASE in customers.sql."
    ),
    N_(
        "%(number)s customers count as opted out because a row of theirs says so that was quarantined, gave way "
        "to another, or is out of scope."
    ),
    N_(
        "%(number)s customers count as opted out because a row says so whose customer_id differs from theirs only "
        "in how it is written."
    ),
    N_(
        "%(number)s customers count as opted out because their line of the customers' files may say so and could "
        "not be read (%(lines)s lines name no known customer, so whoever has no row may be meant). Mend the "
        "lines: see data/quarantine/."
    ),
    N_(
        "%(number)s customers count as opted out because their line of the customers' files may say so and could "
        "not be read. Mend the lines: see data/quarantine/."
    ),
    N_("%(number)s rows of customers.sql say opted out but have no customer_id: nobody is suppressed for them."),
    N_("%(number)s of %(all)s customers are opted out, and so never contacted: is the column the other way round?"),
    # Amounts, ratings and times.
    N_(
        "%(number)s amounts are negative and were quarantined (%(each_kind)s). Where they are refunds, yield them "
        "as kind return with abs(amount)."
    ),
    N_(
        "One purchase of %(amount)s by the customer %(customer)s is %(share)s of what %(all)s purchases brought "
        "in: every figure of money rests on it. If it is a typing error, correct it or give the row a reason in "
        "out_of_scope."
    ),
    N_(
        "%(number)s amounts have three digits after the point, such as 2.004: if the point separates thousands, "
        "they are a thousandth of what they should be. Write replace(amount, '.', '') in the SQL."
    ),
    N_("%(number)s of %(all)s purchases have no amount: they count as orders worth nothing."),
    N_(
        "%(number)s of %(all)s amounts of purchases and renewals are 0, and count as orders worth nothing. If the "
        "amount is not known, yield null."
    ),
    N_("%(number)s of %(all)s returns have no amount: historic_value takes nothing off for them."),
    N_("%(number)s of %(all)s purchases have a margin above their amount: are both of the same unit?"),
    N_(
        "%(number)s of %(all)s ratings lie outside 0 to 1 (%(least)s to %(most)s) and were quarantined; those "
        "left are taken for 0 worst, 1 best, and are wrong if the scale is another. Rescale all: stars from 1 to "
        "5 are (rating - 1) / 4, a score from 0 to 10 is rating / 10."
    ),
    N_("%(column)s is %(mean)s hours as a rule, which is %(days)s days: is it in minutes or seconds?"),
    N_(
        "%(number)s values of %(column)s lie around %(most)s, others around %(least)s of the same spread, and few "
        "between: are two units mixed (cents)? Convert one of them in the SQL."
    ),
    N_(
        "The usual purchase was %(before)s in %(month)s and %(now)s in %(next)s: has the unit changed (cents, "
        "another currency)?"
    ),
    N_(
        "The usual purchase through %(name)s was %(before)s in %(month)s and %(now)s in %(next)s: has the unit "
        "changed (cents, another currency)?"
    ),
    N_(
        "The usual purchase is %(least)s through %(name)s and %(most)s through %(other)s: are both of the same "
        "unit and currency?"
    ),
    N_("More was given back (%(given)s) than bought (%(spent)s): are both amounts of the same unit and sign?"),
    N_("The usual purchase is %(bought)s and the usual return %(given)s: are both of the same unit and currency?"),
    N_(
        "%(number)s purchases have amounts around %(most)s, others around %(least)s of the same spread, and few "
        "between%(where)s: are two units mixed (cents)? Convert one of them in the SQL."
    ),
    N_(
        "%(number)s purchases have whole amounts around %(most)s, others decimals and amounts around %(least)s of "
        "the same spread: are two units mixed (cents)? Convert one of them in the SQL."
    ),
    N_(
        "%(number)s %(within)s have %(column)s %(value)s, and all others lie between %(least)s and %(most)s: if "
        "it stands for a missing value, yield null in its place; as it is, it counts as a number."
    ),
    # Attributes and categories.
    N_("The attribute %(column)s is empty in all rows of customers.sql."),
    N_("The attribute %(column)s is the same for all customers: it tells nothing."),
    N_(
        "The attribute %(column)s has %(values)s values in %(number)s rows: an id or a text in its own words is "
        "no category. Leave it out or group it."
    ),
    N_(
        "The value of %(number)s of %(all)s customers is null: their value at risk is unknown, sums of it leave "
        "them out, and no action is chosen for them."
    ),
    N_("The value of all customers is 0, and so is what is at risk: leave the column out if it is unknown."),
    N_(
        "The attribute %(column)s is declared to count bad experiences (bad_experience), but %(findings)s: "
        "reasons and report would tell of experiences that nobody counted. Yield a count, null where it is not "
        "known, or leave bad_experience out."
    ),
    N_(
        "The %(column)s has a category written in more than one way, each of which counts as another: "
        "%(examples)s. They differ by case, accents, blanks or dashes. If they are the same, write them in one "
        "way in the SQL: %(sql)s."
    ),
    N_(
        "The %(column)s has %(number)s categories written in more than one way, each of which counts as another: "
        "%(examples)s. They differ by case, accents, blanks or dashes. If they are the same, write them in one "
        "way in the SQL: %(sql)s."
    ),
    N_("The %(column)s has %(examples)s as a category: if it stands for a missing value, yield null instead."),
    # What the data lack, and which rows were set aside.
    N_("No %(names)s: customer value cannot be predicted."),
    N_("No amounts: orders can be predicted, money cannot."),
    N_("No ratings, outcomes, delays or efforts: of experiences only the kinds of interactions can tell."),
    N_("%(number)s labels contradict the one kept of their customer and date: a customer has one outcome."),
    N_(
        "%(number)s of %(all)s labels are of customers without an interaction before as_of: nothing is learned "
        "from them. Do their ids match?"
    ),
    N_(
        "On %(number)s of %(all)s dates all labels are the same (%(each_date)s): are the others missing? A list "
        "of leavers only tells nothing apart; who stayed needs a label too."
    ),
    N_("%(share)s of the rows of %(table)s are quarantined (%(rules)s): see data/quarantine."),
    N_("%(share)s of the rows are quarantined (%(rules)s): see data/quarantine."),
    N_("%(number)s duplicates of %(table)s differ from the row kept with their id: is the id unique?"),
    N_("%(number)s duplicates differ from the row kept with their id: is the id unique?"),
    N_(
        "%(table)s uses %(functions)s without an order that decides it: rows of a table have none, so the next "
        "run may yield others. Add ORDER BY within it."
    ),
    # Why a comparison of contacts is withheld, and what it is warned of.
    N_("No treatments are recorded, so nothing can be measured: docs/measuring.md says how to record them."),
    N_("The source is a table without a history, so what came after a treatment is unknown."),
    N_("None of the customers in the treatments has a history in the source: are ids written as in the source?"),
    N_(
        "Nobody held out is recorded here, so there is nothing to compare with. Record them with the action that "
        "they would have received, with arm held_out."
    ),
    N_("Nobody held out is recorded here, so there is nothing to compare with. Record them too, with arm held_out."),
    N_("Nobody treated is recorded here, so there is nothing to compare."),
    N_("Too few customers whose horizon is over: %(few)s, of at least %(needed)s each."),
    N_(
        "The arms differ before entry (p %(p)s): they were not chosen by one rule. Record an entry for every "
        "eligible customer of both arms, at the same moment."
    ),
    N_(
        "Of the campaign %(name)s: The share held out (%(share)s) changes from month to month more than chance "
        "allows (p %(p)s): the arms are not of one draw. Give each draw a campaign of its own."
    ),
    N_(
        "The share held out (%(share)s) changes from month to month more than chance allows (p %(p)s): the arms "
        "are not of one draw. Give each draw a campaign of its own."
    ),
    N_(
        "Of the campaign %(name)s: %(share)s are held out where %(wanted)s were meant to be (sample-ratio check, "
        "p %(p)s): some customers are missing from one arm, or the share is another (measure.held_out in "
        "params.yaml). Find out which before believing any figure."
    ),
    N_(
        "%(share)s are held out where %(wanted)s were meant to be (sample-ratio check, p %(p)s): some customers "
        "are missing from one arm, or the share is another (measure.held_out in params.yaml). Find out which "
        "before believing any figure."
    ),
    N_(
        "%(number)s of %(all)s held-out customers were contacted all the same: the effect is larger than what is "
        "measured."
    ),
    N_(
        "%(treated)s treated and %(held)s held-out customers are not in the source (erased, another id, or "
        "entered before its history begins): their outcomes are unknown."
    ),
    N_(
        "%(treated)s treated and %(held)s held-out customers are not in the source (erased, another id, or "
        "entered before its history begins): their outcomes are unknown, and one arm lost significantly more: the "
        "result is doubtful."
    ),
    N_(
        "Campaigns draw their own arms, with shares that are not declared (measure.held_out in params.yaml), so "
        "the ratio of the arms is checked by campaign only."
    ),
    N_(
        "%(number)s entries are dated more than %(days)s days after the last interaction of the source (%(day)s): "
        "check their dates, or bring newer interactions."
    ),
    N_(
        "What contacting cost is unknown of %(number)s of %(all)s treated customers, so neither cost nor profit "
        "is given."
    ),
    # Why there is no chart of experiences, no loyalty and no personas.
    N_("There are too few bad experiences, or too few comparable good ones, to tell what they change."),
    N_("The data show no touchpoint at which a bad experience does harm."),
    N_("%(what)s: too few to tell, fewer than %(needed)s customers with a bad or a comparable good one."),
    N_("%(what)s: the data show no harm (%(low)s to %(high)s points of churn)."),
    N_("No rule of params.yaml concerns it."),
    N_("No interaction of these data breaks a rule of it: they may not record such experiences."),
    N_("No interaction of these data breaks a rule of params.yaml, so nothing is known of bad experiences."),
    N_("too few touchpoints"),
    N_("The source tells the channel of no interaction."),
    N_(
        "The source is a table with one row per customer: it holds no interactions, so pillars, journeys, "
        "channels, moments of truth and tolerance are not computed."
    ),
    N_("No attribute of the source counts bad experiences (bad_experience in source.yaml)."),
    N_("after %(experiences)s (%(survey)s)"),
    N_(
        "Attitude is unknown: %(number)s of %(all)s training rows hold %(signs)s enough to tell (at least "
        "%(needed)s are needed), and buying alone does not tell loyalty from habit."
    ),
    N_(
        "The base is one persona: whatever the number of groups, two halves of the customers yield different ones "
        "(adjusted Rand index %(found)s at best, %(needed)s is needed), or no traits go together (gap %(gap)s at "
        "best, %(least)s is needed)."
    ),
    N_("No personas: %(number)s customers are too few to tell kinds of them apart (%(needed)s are needed)."),
    N_(
        "No personas: the data tell how often and for how much customers buy, but of no channel and no experience "
        "in which they differ."
    ),
    N_("The source is a table without a history: loyalty and personas need to know what customers did."),
    N_("Every customer has neither bought, enrolled nor renewed, and the first %(days)s days are over."),
    # Why groups are not compared.
    N_("No attribute of the source is declared as protected, so no groups are compared."),
    N_("%(number)s customers were evaluated; at least %(needed)s are needed to compare groups."),
    # Why a model was promoted or not.
    N_("there was no champion to beat; its ECE is %(ece)s, above gate.max_ece %(limit)s: look before you use it"),
    N_("there was no champion to beat; its ECE is %(ece)s"),
    N_("a customer is in one of the evaluations twice, so the rows cannot be matched. %(advice)s"),
    N_(
        "%(number)s customers with the same outcome are in both evaluations, of %(all)s; a comparison takes "
        "%(needed)s, some of whom left and some stayed. %(advice)s"
    ),
    N_("the champion has another %(what)s (%(its)s, not %(mine)s), so the same rows cannot judge both. %(advice)s"),
    N_(
        "the champion learned from outcomes until %(day)s, after the evaluation cutoff %(cutoff)s: for it these "
        "rows are not out of time. Score at a later date, so that the evaluation moves on. %(advice)s"
    ),
    N_("%(each_figure)s; against the champion on %(number)s customers: %(verdict)s"),
    N_("the gate"),
    # More of the monitor.
    N_(
        "The history is too short to tell what is usual: it takes %(number)s changes between earlier months. "
        "Nothing is judged, nothing alarms."
    ),
    N_("The model learned from these outcomes: what it gets right here is no evidence."),
    N_("Not known yet. The figures hold if the probabilities are as right as they were where outcomes are known."),
    N_("Are the customers to be scored like those learned from?"),
    N_(
        "The inputs differ by %(value)s from those learned from (PSI, weighted by importance%(most)s), beyond the "
        "usual limit of %(limit)s.%(unseen)s"
    ),
    N_(
        "The inputs differ by %(value)s from those learned from (PSI, weighted by importance%(most)s), within the "
        "usual limit of %(limit)s.%(unseen)s"
    ),
)  # fmt: skip
PARTS: Sequence[str] = (
    N_("purchases in a year"), N_("days since the last purchase"), N_("activity in a year"),
    N_("days since the last activity"), N_("visits in a year"), N_("contacts in a year"), N_("reviews in a year"),
    N_("referrals in a year"), N_("renewals in a year"), N_("irregularity of purchases"), N_("returns per purchase"),
    N_("messages answered per message"), N_("share of interactions through %(name)s"),
    N_("variety of channels, in bits"), N_("share of interactions that went badly"),
    N_("share of deliveries that were late"), N_("share of contacts left unresolved"), N_("mean rating"),
    N_("money spent in a year"), N_("money per day with a purchase"),
    N_("%(number)s purchases"), N_("%(number)s visits"), N_("%(number)s deliveries"), N_("%(number)s contacts"),
    N_("%(number)s returns"), N_("%(number)s reviews"), N_("%(number)s referrals"),
    N_("%(kind)s on %(topic)s"),
    N_("kind %(name)s"), N_("channel %(name)s"), N_("%(number)s a week"), N_("a year before"), N_("the month before"),
    N_(", beyond the limit of %(limit)s that %(past)s earlier such changes set."),
    N_(", within the limit of %(limit)s that %(past)s earlier such changes set."),
    N_("; %(past)s earlier such changes are too few to tell whether that is usual."),
    N_("churn rate %(value)s is not the %(usual)s expected"),
    N_("AUC %(value)s is better than the %(usual)s expected"),
    N_("AUC %(value)s is worse than the %(usual)s expected"),
    N_("log loss %(value)s is better than the %(usual)s expected"),
    N_("log loss %(value)s is worse than the %(usual)s expected"),
    N_("%(value)s points [%(low)s, %(high)s]"),
    N_("1 interaction is"),
    N_("%(number)s interactions are"),
    N_("; %(number)s only after the data end, so that `score_at: latest` does not see them. %(bulk)s"),
    N_("; %(number)s only after the data end, so that `score_at: latest` does not see them."),
    N_(". %(bulk)s"),
    N_(
        "%(number)s became known on one day: if that is when a table was loaded at once, leave known_at null for "
        "these, or no feature sees them before."
    ),
    N_("; %(number)s of them in one way here and in another there"),
    N_("%(layer)s (%(number)s)"),
    N_("characters of double width"),
    N_("blanks"),
    N_("quotes around them"),
    N_("accents apart from their letters"),
    N_("kinds of dashes"),
    N_("'.0' at the end"),
    N_("leading zeros"),
    N_("%(day)s: all left"),
    N_("%(day)s: all stayed"),
    N_("%(number)s treated and %(other)s held-out"),
    N_("%(number)s treated"),
    N_("%(number)s held-out"),
    N_("interactions"),
    N_("customers"),
    N_("rows"),
    N_("%(number)s of %(all)s values are below 0"),
    N_("%(number)s of %(all)s are no whole numbers"),
    N_("it is %(number)s as a rule"),
    N_("one bad experience"),
    N_("several bad experiences"),
    N_("After %(experience)s"),
    N_("a bad experience"),
    N_("contacts and complaints settled"),
    N_("churn definition"),
    N_("horizon"),
    N_("lead time"),
    N_("set of features"),
    N_("If it should be champion all the same: `fedelta promote --because REASON`"),
    N_("the champion is better"),
    N_("the interval includes 0, and a tie keeps the champion"),
    N_("better by %(name)s, but significantly worse by %(one)s and %(other)s"),
    N_("better by %(name)s, but significantly worse by %(what)s"),
    N_("better at churn, but the champion predicts spend and the challenger does not"),
    N_("better, but its ECE %(ece)s is above gate.max_ece %(limit)s"),
    N_("better; its ECE is %(ece)s"),
    N_("%(name)s has no meaning here"),
    N_("%(name)s %(value)s [%(low)s, %(high)s]"),
    N_(" Categories never met in training, which count as unknown: %(names)s."),
    N_("; most: %(names)s"),
    N_(" (in %(month)s)"),
    N_(" (in %(month)s, through %(name)s)"),
    N_(" (from %(month)s to %(next)s)"),
    N_(" (from %(month)s to %(next)s, through %(name)s)"),
    N_("letter case"),
    N_("the same season a year before"),
    N_("%(one)s, and %(other)s"),
)  # fmt: skip
